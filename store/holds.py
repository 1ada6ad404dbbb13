"""The holds that providers asked for."""

from collections.abc import Callable, Mapping

from pydantic import TypeAdapter

from store.changes import CommitNotice
from store.records.holds import ProviderHolds
from store.records.times import Lane
from store.repository import Repository
from store.session import Session

_HOLDS = TypeAdapter(ProviderHolds)


class Holds(Repository):
    subject = "holds"

    async def read(self) -> Mapping[str, ProviderHolds]:
        """By provider: its recorded refusals."""
        rows = await self._fetch("list-holds")
        return {provider: _HOLDS.validate_json(state) for provider, state in rows}

    async def change(
        self, provider: str, change: Callable[[ProviderHolds], ProviderHolds]
    ) -> ProviderHolds:
        """Replace a provider's recorded refusals in one transaction; returns the new value.
        `change` must be pure and fast, like a `Decide`. If the value has changed, the submission
        queue is notified."""

        def work(db: Session, notice: CommitNotice) -> ProviderHolds:
            ((state,),) = db.execute(self._sql["lock-hold"], {"provider": provider}).fetchall()
            before = ProviderHolds() if state is None else _HOLDS.validate_json(state)
            after = change(before)
            if after != before:
                until = 0 if after.everybody is None else after.everybody.until
                fresh = {"until": until, "state": _HOLDS.dump_json(after).decode()}
                db.execute(self._sql["change-hold"], {"provider": provider, **fresh})
                notice.add_due(Lane.SUBMIT, 0)
            return after

        return await self._writer.normal(work)
