"""Ends what has waited long enough and needs no call for it: submissions whose lease has ended; and
of jobs that cannot be polled, deadlines and claims."""

from collections.abc import Mapping, Sequence
from typing import Never, assert_never

from receiver.domain.lifecycle import decider
from receiver.domain.observations import TimeoutReached
from receiver.engine.context import ServiceContext
from receiver.engine.lanes import Handler, LaneTimer
from receiver.engine.observe_job import log_failures
from receiver.engine.supervisor import BATCH
from receiver.streams.hub import Hub
from store.records.times import Lane


class Timeouts(Handler[Never]):
    """The lanes of timeouts. They are applied in the look itself: nothing is left to handle."""

    name = "timeouts"

    def __init__(self, services: ServiceContext, hub: Hub) -> None:
        lanes = Lane.SUBMITTING, Lane.WAIT
        super().__init__(1, [LaneTimer(services.clock, hub, lane) for lane in lanes])
        self._services = services

    async def take(self, free: int, running: Mapping[str, Never]) -> Sequence[Never]:
        for timer in self.timers:
            if timer.is_due:
                await self._apply(timer)
        return []

    async def handle(self, work: Never) -> None:
        assert_never(work)

    async def _apply(self, timer: LaneTimer) -> None:
        services, due = self._services, self._services.store.due
        decide = decider(TimeoutReached(), services.clock.now, services.rules)
        found = await timer.look(lambda look: due.advance(look, decide), BATCH, lambda all_: all_)
        log_failures(found.taken)
