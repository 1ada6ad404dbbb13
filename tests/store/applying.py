"""Applying callbacks to jobs of a store, without the state machine."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from store.callbacks import Applied
from store.database import Store
from store.records.callbacks import Callback, CallbackVerdict, Verdict
from store.records.jobs import Evidence, Job
from store.records.moves import DecideCallbacks, Move
from tests.store.gate import block
from tests.store.world import NOW, World, event_data, waiting


def applying(seen: list[list[bytes]] | None = None, **fields: Any) -> DecideCallbacks:
    """Apply all callbacks in one visible change. Each call appends their bodies to `seen`."""

    def decide(job: Job, callbacks: Sequence[Callback]) -> Move:
        if seen is not None:
            seen.append([callback.body for callback in callbacks])
        after = replace(job, **{"seq": job.seq + 1, "updated_at": NOW + 1, **fields})
        verdicts = [
            CallbackVerdict(callback.id, Verdict.APPLIED, None, Evidence.CALLBACK)
            for callback in callbacks
        ]
        return Move(after, event_data(after), verdicts=tuple(verdicts))

    return decide


def failing_decide(job: Job, callbacks: Sequence[Callback]) -> Move | None:
    raise ZeroDivisionError(f"{len(callbacks)} of {job.id}")


async def apply(world: World, job: Job, decide: DecideCallbacks, most: int = 100) -> Applied:
    return await world.store.callbacks.apply(job.id, decide, most=most)


async def in_one_batch(world: World, *calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """The results, in order, of calls whose writes share a batch."""
    assert isinstance(world.store, Store)
    gate, blocked = await block(world.store._writer)
    tasks = [asyncio.ensure_future(call()) for call in calls]
    await asyncio.sleep(0)  # each write is in the queue
    gate.open()
    await blocked
    return await asyncio.gather(*tasks, return_exceptions=True)


def applying_call(
    world: World, job: Job, decide: DecideCallbacks
) -> Callable[[], Awaitable[Applied]]:
    return lambda: apply(world, job, decide)


async def give_verdict(world: World, job: Job, verdict: Verdict) -> None:
    """Settle the only callback that waits, which is the job's."""
    (callback,) = await waiting(world.store)
    given = CallbackVerdict(callback.id, verdict)
    await world.advance(job, lambda now: Move(now, verdicts=(given,)))


async def verdicts(world: World, job: Job) -> list[str]:
    history = await world.store.jobs.history_of(job.id)
    return [line.detail["verdict"] for line in history if line.type == "callback"]
