"""Two workers that have read the same callback both apply it."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from store.advance import Applied, Change
from store.callbacks import Callbacks
from store.records import Callback, Job
from store.session import Batchable
from tests.simulation.known_bad.plans import stalled_while_it_applies
from tests.simulation.known_bad.variant import Variant

_apply = Callbacks.apply


async def _as_it_was_read(self: Callbacks, job_id: str, decide: Any, **named: Any) -> Applied:
    seen: list[Callback] = []

    def look(_: Job, callbacks: Sequence[Callback]) -> None:
        seen.extend(callbacks)

    looked = await _apply(self, job_id, look, **named)
    if not seen:
        return looked
    change = Change(job_id, lambda job, _: decide(job, seen), lease=named["lease"])
    return await self._writer.background(Batchable(self._job_writer.change, change, jobs=(job_id,)))


VARIANT = Variant(
    lambda: patch.object(Callbacks, "apply", _as_it_was_read),
    caught_by=("a verdict is given once",),
    seeds=100,
    plan=stalled_while_it_applies,
    first=4,
)
