"""The limits on status calls: rate, slots, and a breaker per provider."""

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from receiver.domain.answers import StatusAnswer, StatusMissing, StatusUnavailable
from receiver.domain.call_limits import FAILURES_TO_OPEN, FIRST_PROBE, LONGEST_PROBE
from receiver.engine.status_calls import CLIENTS_SHARE, SLOT_CHECK_SECONDS, StatusCalls
from receiver.metrics import Metrics
from receiver.providers.contract import UpstreamJob
from tests.engine.harness import QuickProvider
from tests.support.manual_clock import ManualClock

MISSING = StatusMissing()
FAILED = StatusUnavailable("it is away")
REFUSED = StatusUnavailable("the key", credentials_refused=True)
USELESS = StatusUnavailable("an answer that is too long", only_this_job=True)


class CallsHarness:
    """Status calls with a clock and a provider that the test controls."""

    def __init__(self, rate: float = 10.0, concurrency: int = 4) -> None:
        self.clock = ManualClock()
        self.provider = QuickProvider()
        self.provider.answer = MISSING
        self.metrics = Metrics("test")
        self.calls = StatusCalls(self.clock, self.metrics, rate, concurrency)

    async def ask(self, what: str = "up-1") -> StatusAnswer | None:
        job = UpstreamJob(what, "create_movie", {})
        return await self.calls.ask_soon(self.provider, f"our {what}", job)

    async def poll(self, what: str = "up-1") -> StatusAnswer | None:
        """A call as the poller makes it."""
        job = UpstreamJob(what, "create_movie", {})
        return await self.calls.ask(self.provider, f"our {what}", lambda asked: asked.status(job))

    async def hanging_poll(
        self, what: str
    ) -> tuple[asyncio.Task[StatusAnswer | None], Callable[[], None]]:
        """A poll that has begun, and what ends it."""
        self.provider.waits_for = ending = asyncio.Event()
        task = asyncio.create_task(self.poll(what))
        await _until(lambda: what in self.provider.asked)
        self.provider.waits_for = None
        return task, ending.set

    def counted(self, outcome: str) -> float:
        sample: Any = self.metrics.status_polls.labels("samsar", outcome)
        return float(sample._value.get())


async def test_a_call_is_made_and_counted() -> None:
    harness = CallsHarness()
    assert await harness.ask() == MISSING
    assert harness.provider.asked == ["up-1"]
    assert harness.counted(StatusMissing.outcome) == 1


async def test_all_calls_share_one_rate() -> None:
    harness = CallsHarness(rate=2, concurrency=8)
    assert harness.calls.free() == 1
    harness.calls.begin()
    assert (harness.calls.free(), harness.calls.seconds_until_free()) == (0, 0.5)

    began = harness.clock.monotonic()
    assert await harness.ask() is not None
    assert harness.clock.monotonic() - began == 0.5

    assert harness.calls.free() == 0
    harness.clock.advance(0.5)
    assert harness.calls.free() == 1


async def test_clients_leave_most_of_the_rate_to_the_polls() -> None:
    """Each call for a client reserves the next one: without a rate of their own, no poll was made
    while clients asked again at once."""
    harness, polls = CallsHarness(), 0
    began = harness.clock.monotonic()
    while harness.clock.monotonic() < began + 60:
        await harness.ask()
        if harness.calls.free() > 0:
            harness.calls.begin()
            harness.calls.end()
            polls += 1
        harness.clock.advance(0.05)
    assert min(polls, len(harness.provider.asked)) > 100
    assert len(harness.provider.asked) <= 60 * 10 / 5 + 1  # a fifth of the rate


async def test_a_call_that_would_wait_too_long_is_refused() -> None:
    harness = CallsHarness(rate=0.5 / CLIENTS_SHARE)
    assert await harness.ask() is not None
    began = harness.clock.monotonic()

    assert await harness.ask() is None

    assert harness.provider.asked == ["up-1"]
    assert harness.clock.monotonic() == began
    harness.clock.advance(1.0)
    assert await harness.ask() is not None


async def test_an_open_breaker_allows_only_its_probe() -> None:
    harness = CallsHarness(rate=10)
    harness.provider.answer = REFUSED
    assert await harness.ask() == REFUSED
    assert harness.calls.breakers["samsar"].state == "open"
    harness.clock.advance(0.5)
    assert await harness.ask() is None
    assert len(harness.provider.asked) == 1
    assert harness.calls.free() == 1, "a call that is not made takes nothing from the rate"

    harness.clock.advance(0.5)
    harness.provider.answer = MISSING
    assert await harness.ask() == MISSING
    assert harness.calls.breakers["samsar"].probe_at is None


async def test_calls_that_began_before_the_breaker_opened_are_no_probes() -> None:
    harness = CallsHarness(rate=1_000)
    breaker = harness.calls.breakers["samsar"]
    harness.provider.answer = FAILED
    cancelled, _ = await harness.hanging_poll("cancelled")
    older, end_older = await harness.hanging_poll("older")
    for number in range(FAILURES_TO_OPEN):
        assert await harness.poll(f"up-{number}") == FAILED
    harness.clock.advance(FIRST_PROBE)
    probe, end_probe = await harness.hanging_poll("probe")

    cancelled.cancel()
    end_older()
    await asyncio.wait([cancelled, older])
    assert breaker.state == "half_open", "the probe has not ended"
    assert await harness.poll("another") is None

    end_probe()
    assert await probe == FAILED
    assert breaker.probe_at == harness.clock.monotonic() + 2 * FIRST_PROBE


async def test_the_key_counts_as_refused_until_the_provider_accepts_it() -> None:
    harness = CallsHarness(rate=1_000)
    gauge: Any = harness.metrics.provider_credentials_refused.labels("samsar")
    seen = []
    for answer in (MISSING, REFUSED, FAILED, REFUSED, USELESS, FAILED):
        harness.provider.answer = answer
        harness.clock.advance(LONGEST_PROBE)
        assert await harness.poll() == answer
        seen.append(gauge._value.get())
    assert seen == [0, 1, 1, 1, 0, 0]


async def test_failures_of_pollers_and_clients_together_open_the_breaker() -> None:
    harness = CallsHarness(rate=1_000)
    harness.provider.answer = FAILED
    for _ in range(3):
        assert await harness.poll() == FAILED
    for _ in range(2):
        assert await harness.ask() == FAILED
    assert await harness.ask() is None
    assert harness.calls.breakers["another"].state == "closed"


async def test_pollers_and_clients_name_a_job_alike() -> None:
    harness = CallsHarness()
    harness.provider.answer = FAILED
    assert await harness.ask() == FAILED
    assert harness.calls.is_failing("samsar", "our up-1")


async def test_an_answer_that_is_of_no_use_for_its_job_opens_no_breaker() -> None:
    harness = CallsHarness(rate=1_000)
    for answer in (*[FAILED] * 4, USELESS, *[FAILED] * 4, *[USELESS] * 6):
        harness.provider.answer = answer
        assert await harness.poll() == answer
    assert harness.calls.breakers["samsar"].state == "closed"


@pytest.mark.parametrize("answer", [FAILED, REFUSED])
async def test_a_job_that_alone_gets_no_answer_opens_no_breaker(answer: StatusAnswer) -> None:
    harness = CallsHarness(rate=1_000)
    for what, given in [("bad", answer), ("good", MISSING), *[("bad", answer)] * 6]:
        harness.clock.advance(FIRST_PROBE)
        harness.provider.answer = given
        assert await harness.poll(what) == given
    assert harness.calls.breakers["samsar"].state == "closed"


async def test_nobody_waits_for_a_turn_while_the_breaker_is_closed() -> None:
    harness = CallsHarness(rate=1_000)
    harness.provider.answer = FAILED
    assert await harness.poll("bad") == FAILED
    harness.calls.queues["samsar"].enqueue("good", 1, claimed=False)
    assert harness.calls.queues["samsar"].take_next(0.0) == "good"
    assert await harness.poll("bad") == FAILED


async def test_hanging_calls_leave_half_of_the_slots() -> None:
    harness = CallsHarness(rate=1_000, concurrency=4)
    harness.provider.waits_for = answered = asyncio.Event()
    hanging = [asyncio.create_task(harness.ask(f"up-{number}")) for number in range(3)]
    await _until(lambda: len(harness.provider.asked) == 2 and hanging[2].done())
    assert hanging[2].result() is None
    harness.clock.advance(1)
    assert harness.calls.free() == 2

    answered.set()
    await asyncio.gather(*hanging)
    harness.clock.advance(1)
    assert harness.calls.free() == 4


async def test_no_slot_is_free_while_the_poller_has_them_all() -> None:
    harness = CallsHarness(rate=1_000, concurrency=2)
    harness.calls.begin()
    harness.calls.begin()
    assert (harness.calls.free(), harness.calls.seconds_until_free()) == (0, SLOT_CHECK_SECONDS)
    assert await harness.ask() is None
    harness.calls.end()
    assert await harness.ask() is not None


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_an_interrupted_call_returns_its_slot(how: str) -> None:
    harness = CallsHarness(rate=1_000, concurrency=2)
    harness.provider.answer = REFUSED
    assert await harness.poll() == REFUSED
    harness.provider.answer = MISSING
    harness.clock.advance(1.0)  # this call is the probe
    if how == "failed":
        fault = ValueError("a mistake of the adapter")
        with (
            patch.object(harness.provider, "status", side_effect=fault),
            pytest.raises(ValueError, match="mistake"),
        ):
            await harness.ask()
    else:
        harness.provider.waits_for = asyncio.Event()
        task = asyncio.create_task(harness.ask())
        await _until(lambda: len(harness.provider.asked) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        harness.provider.waits_for = None
    harness.clock.advance(1.0)

    assert harness.calls.free() == 2
    assert await harness.ask() == MISSING


async def _until(enough: Callable[[], bool]) -> None:
    for _ in range(100):
        if enough():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")
