"""The users' ends of the relay: a sender without a network, and what answers behind it."""

import json
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import urlsplit

from receiver.webhooks.delivery import Attempt, WebhookSender
from tests.simulation.faults import Spells
from tests.simulation.judge import Judge
from tests.simulation.loop import Life, current_life, loop_of_world

Arrived = Callable[[str, Mapping[str, str], bytes, int], None]
"""Told of each message that reaches a sink: its address, headers and body, and what the sink
answers to it."""


_STATUS: Mapping[str | None, int] = {"silent": 0, "broken": 500, "busy": 503, "gone": 410}


class SimulatedCourier(WebhookSender):
    """`receiver.webhooks.delivery.WebhookSender`, with the network replaced by spells of trouble.

    Kinds of trouble: refused (no connection), silent (taken, never answered), broken (500),
    busy (503 and Retry-After), gone (410), uneven (well, and some messages overtake others).
    """

    def __init__(self, arrived: Arrived, judge: Judge, random: Random) -> None:
        self.steady = True
        """No process was stalled and no clock was set: every lease holds as long as it should."""
        self._arrived = arrived
        self._judge = judge
        self._flying: dict[str, Life] = {}
        """Jobs with an attempt under way, and the process that makes it."""
        self._random = random
        self.at_sending: Callable[[Life], None] | None = None
        """What happens, once, to the next that sends a message, just before that."""
        self.troubles: dict[str, Spells] = {}
        """By host."""

    async def deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Attempt:
        job_id, life = json.loads(body)["request_id"], current_life()
        assert life is not None
        other = self._flying.get(job_id)
        self._judge.require(other is None or other.dead or not self.steady,
                            "one attempt at a time for a job", job_id)  # fmt: skip
        self._flying[job_id] = life
        try:
            return await self._deliver(url, headers, body, timeout)
        finally:
            self._flying.pop(job_id, None)

    async def _deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Attempt:
        loop, life = loop_of_world(), current_life()
        began = loop.time()
        met: list[str | None] = []

        def arrive() -> None:
            """Once sent, bytes arrive whether their sender stands still meanwhile or not."""
            if life is None or life.dead:
                return
            kind = spells.at(loop.time())
            met.append(kind)
            if kind != "refused":
                self._arrived(url, headers, body, _STATUS.get(kind, 200))

        spells = self.troubles.setdefault(urlsplit(url).hostname or "", Spells())
        uneven = spells.at(began) == "uneven"
        way = self._random.choice([0.005, 0.4] if uneven else [0.005, 0.05, 0.4])
        if self.at_sending is not None and life is not None:
            then, self.at_sending = self.at_sending, None
            then(life)
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
