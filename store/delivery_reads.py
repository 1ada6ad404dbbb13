"""Finds and lists relay messages."""

import json
from dataclasses import dataclass

from store.records.deliveries import Attempt, Delivery, DeliveryState
from store.records.jobs import Status
from store.records.times import Millis
from store.session import Row
from store.table import Table

_LAST_ID = "~"
"""Sorts after every id."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Selects deliveries for a list; None means "all"."""

    user_id: int | None = None
    state: DeliveryState | None = None
    job_id: str | None = None
    host: str | None = None
    """Host name, in lower case."""
    port: int | None = None
    """Ignored without `host`."""


class DeliveryReads(Table):
    """The part of `Deliveries` that reads."""

    subject = "deliveries"

    async def next_due(self) -> Millis | None:
        """When the next message can be leased, ignoring slots. A message behind one of its job in
        flight does not count. The end of a lease does."""
        ((at,),) = await self._fetch("next-due")
        found: Millis | None = at
        return found

    async def find(self, delivery_id: str) -> Delivery | None:
        row = await self._fetch_one("read-delivery", delivery_id=delivery_id)
        return delivery_from_row(row) if row else None

    async def find_for_user(self, user_id: int, delivery_id: str) -> Delivery | None:
        row = await self._fetch_one(
            "read-delivery-of-user", delivery_id=delivery_id, user_id=user_id
        )
        return delivery_from_row(row) if row else None

    async def list_page(
        self, select: DeliveryFilter, before: str | None, limit: int
    ) -> list[Delivery]:
        """Newest first (by id), with their attempts."""
        name = None if select.host is None else f"{select.host}:"
        parameters = {
            "user_id": select.user_id,
            "state": select.state,
            "job_id": select.job_id,
            "name": name,
            "host": None if select.port is None else f"{name}{select.port}",
            "before": before or _LAST_ID,
            "limit": limit,
        }
        rows = await self._fetch(_narrowest(select), **parameters)
        return [delivery_from_row(row) for row in rows]

    async def backlog(self) -> tuple[int, Millis | None]:
        """The number of pending messages, and when the oldest was written."""
        ((count, oldest),) = await self._fetch("backlog")
        return count, oldest


def _narrowest(select: DeliveryFilter) -> str:
    """The list query whose index leaves the fewest rows to read."""
    unfinished = select.state not in (None, DeliveryState.DELIVERED, DeliveryState.SKIPPED)
    if select.job_id is not None:
        return "list-by-job"
    if select.host is not None and not unfinished:
        return "list-by-host"
    if select.user_id is None:
        return "list-unfinished" if unfinished else "list-all"
    return "list-by-user" if select.state is None else "list-by-state"


def delivery_from_row(row: Row) -> Delivery:
    """The delivery in a row of a query that reads some."""
    id_, job_id, user_id, status, seq, state, url, host, body, step, *times, attempts, user = row
    created_at, next_attempt_at, delivered_at = times
    return Delivery(
        id=id_,
        job_id=job_id,
        user_id=user_id,
        user=user,
        status=Status(status),
        seq=seq,
        state=DeliveryState(state),
        url=url,
        host=host,
        body=body,
        step=step,
        created_at=created_at,
        next_attempt_at=next_attempt_at,
        delivered_at=delivered_at,
        attempts=tuple(Attempt(*values) for values in json.loads(attempts)),
    )
