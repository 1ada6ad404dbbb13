"""The relay message is written after the change that caused it, in a transaction of its own."""

from typing import Any
from unittest.mock import patch

from store.relational.advance import Changer
from store.relational.jobs import SqlJobs
from tests.simulation.known_bad.variant import Patch, Variant, together

_advance, _enqueue = SqlJobs.advance, Changer._enqueue


async def _advance_then_enqueue(
    self: SqlJobs, job_id: str, decide: Any, **named: Any
) -> tuple[Any, Any]:
    job, move = await _advance(self, job_id, decide, **named)
    if move is not None and move.relay is not None:
        relay = move.relay
        await self._writer.background(
            lambda db, effects: _enqueue(self._changer, db, effects, job, relay)
        )
    return job, move


def _applied() -> Patch:
    return together(
        patch.object(SqlJobs, "advance", _advance_then_enqueue),
        patch.object(Changer, "_enqueue", lambda *_: None),
    )


VARIANT = Variant(_applied, caught_by=("one relay message for each event asked for",))
