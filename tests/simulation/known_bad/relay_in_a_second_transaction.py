"""The relay message is written after the change that caused it, in a transaction of its own."""

from typing import Any
from unittest.mock import patch

from store.advance import Applied
from store.callbacks import Callbacks
from store.jobs import Jobs
from store.moves import MoveWriter
from store.records import Job, Move
from tests.simulation.known_bad.variant import Patch, Variant, together

_advance, _apply, _enqueue = Jobs.advance, Callbacks.apply, MoveWriter._enqueue


async def _then_enqueue(store: Jobs | Callbacks, job: Job, move: Move | None) -> None:
    if move is not None and move.relay is not None:
        relay = move.relay
        await store._writer.background(
            lambda db, effects: _enqueue(store._moves, db, effects, job, relay)
        )


async def _advance_then_enqueue(self: Jobs, *given: Any, **named: Any) -> tuple[Job, Move | None]:
    job, move = await _advance(self, *given, **named)
    await _then_enqueue(self, job, move)
    return job, move


async def _apply_then_enqueue(self: Callbacks, *given: Any, **named: Any) -> Applied:
    applied = await _apply(self, *given, **named)
    await _then_enqueue(self, applied.job, applied.move)
    return applied


def _applied() -> Patch:
    return together(
        patch.object(Jobs, "advance", _advance_then_enqueue),
        patch.object(Callbacks, "apply", _apply_then_enqueue),
        patch.object(MoveWriter, "_enqueue", lambda *_: None),
    )


VARIANT = Variant(_applied, caught_by=("one relay message for each event asked for",))
