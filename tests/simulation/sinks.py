"""The users' ends of the relay: a sender without a network, and what answers behind it."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from receiver.webhooks.delivery import Attempt, WebhookSender
from tests.simulation.loop import Process, current_process, loop_of_world
from tests.simulation.schedule import SINKS, SUSPENDS, FaultWindows

if TYPE_CHECKING:
    from tests.simulation.world import World

_STATUS: Mapping[str | None, int] = {"silent": 0, "broken": 500, "busy": 503, "gone": 410}


class SimulatedSender(WebhookSender):
    """`receiver.webhooks.delivery.WebhookSender`, without a network.

    Kinds of trouble: refused (no connection), silent (taken, never answered), broken (500),
    busy (503 and Retry-After), gone (410), uneven (well, and some messages overtake others).
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._flying: dict[str, Process] = {}
        """Jobs with an attempt under way, and the process that makes it."""
        self._random = world.random
        self.at_sending: Callable[[], None] | None = None
        """What happens, once, to the next that sends a message, just before that."""
        self.troubles = {sink: FaultWindows() for sink in SINKS}
        """By host."""

    async def deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Attempt:
        job_id, process = json.loads(body)["request_id"], current_process()
        assert process is not None
        other = self._flying.get(job_id)
        leases_hold = not self._world.done & SUSPENDS
        alone = other is None or other.dead or not leases_hold
        self._world.judge.require(alone, "one attempt at a time for a job", job_id)
        self._flying[job_id] = process
        try:
            return await self._deliver(url, headers, body, timeout)
        finally:
            self._flying.pop(job_id, None)

    async def _deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Attempt:
        loop, process = loop_of_world(), current_process()
        began = loop.time()
        met: list[str | None] = []

        def arrive() -> None:
            """Once sent, bytes arrive whether their sender stands still meanwhile or not."""
            if process is None or process.dead:
                return
            kind = troubles.at(loop.time())
            met.append(kind)
            if kind != "refused":
                self._world.relays.arrived(url, headers, body, _STATUS.get(kind, 200))

        troubles = self.troubles[str(urlsplit(url).hostname)]
        uneven = troubles.at(began) == "uneven"
        way = self._random.choice([0.005, 0.4] if uneven else [0.005, 0.05, 0.4])
        if self.at_sending is not None:
            then, self.at_sending = self.at_sending, None
            then()
        loop.call_later(way, arrive, context=loop.world)
        await self._wait(way)
        (kind,) = met
        if kind == "refused":
            return self._attempt(began, None, "connect_failed", connect_failure=True)
        if kind == "silent":
            await self._wait(max(0.0, timeout - way))
            return self._attempt(began, None, "timeout")
        status = _STATUS.get(kind, 200)
        await self._wait(0.05 if uneven else self._random.choice([0.005, 0.05, 3.0]))
        return self._attempt(began, status, None, 30_000 if status == 503 else None)

    def _attempt(
        self,
        began: float,
        status: int | None,
        error: str | None,
        retry_after: int | None = None,
        *,
        connect_failure: bool = False,
    ) -> Attempt:
        took = round((loop_of_world().time() - began) * 1_000)
        return Attempt(status, error, took, retry_after, "ok", connect_failure)

    async def _wait(self, seconds: float) -> None:
        await loop_of_world().arrival(seconds)
