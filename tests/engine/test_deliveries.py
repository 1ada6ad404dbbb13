"""Webhooks to users: limits per user and host, pauses, and leases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from receiver.engine.deliveries import HOST_PAUSES, LIMITS, Message, WebhookDeliveries
from receiver.engine.lanes import LaneWorker
from receiver.webhooks.delivery import AttemptResult
from store.errors import StoreUnavailable
from store.keys import User
from store.records.jobs import Job
from tests.engine.harness import Harness, begin, logged, step
from tests.store.world import SECOND, rendering

PER_HOST, PER_USER = LIMITS["host"].at_once, LIMITS["user"].at_once
REFUSED = AttemptResult(None, "connect_failed", 3, None, None, connect_failure=True)


@pytest.fixture
def lane(harness: Harness) -> WebhookDeliveries:
    return WebhookDeliveries(
        harness.services,
        harness.hub,
        harness.sender,
        schedule=[0, 5 * SECOND, 300 * SECOND],
        timeout=15,
        jitter=lambda: 0,
    )


@pytest.fixture
def worker(harness: Harness, lane: WebhookDeliveries) -> LaneWorker[Message]:
    return LaneWorker(lane, harness.clock)


async def message(harness: Harness, host: str, user: User | None = None) -> Job:
    job = await harness.world.create(user, webhook_url=f"https://{host}/")
    return await harness.world.advance(job, rendering(harness.clock.now(), relay=True))


async def messages(harness: Harness, count: int, host: str, user: User | None = None) -> list[Job]:
    """`{}` in the host stands for the number."""
    return [await message(harness, host.format(number), user) for number in range(count)]


async def test_a_host_that_fails_is_logged_once_and_so_is_its_recovery(
    harness: Harness, worker: LaneWorker[Message]
) -> None:
    works = harness.sender.result
    harness.sender.result = replace(works, status_code=500)
    await messages(harness, 3, "one.example")
    with logged() as lines:
        await step(harness, worker, 0)
        harness.sender.result = works
        await step(harness, worker, 6)
        await step(harness, worker, 0)
    fails, recovers = [line for line in lines if line.get("host") == "one.example:443"]
    assert (fails["event"], fails["reason"]) == ("calls begin to fail", "HTTP 500")
    assert (recovers["event"], recovers["after"]) == ("calls succeed again", 6)


@pytest.mark.parametrize(("host", "most"), [("one.example", PER_HOST), ("h{}.example", PER_USER)])
async def test_a_user_and_a_host_have_a_limit_that_delays_no_other(
    harness: Harness, worker: LaneWorker[Message], host: str, most: int
) -> None:
    harness.sender.waits_for = answered = asyncio.Event()
    await messages(harness, most + 3, host)
    assert await begin(worker) == most

    await message(harness, "bob.example", harness.world.bob)
    assert await begin(worker) == 1
    assert "https://bob.example/" in await harness.sender.sending(most + 1)

    answered.set()
    await worker.finish()
    assert await begin(worker) == 3
    await worker.finish()


async def test_all_attempts_at_once_are_bounded_and_shared(
    harness: Harness, lane: WebhookDeliveries, worker: LaneWorker[Message]
) -> None:
    harness.sender.waits_for = answered = asyncio.Event()
    lane.slots = 4
    await messages(harness, 6, "a{}.example")
    await messages(harness, 6, "b{}.example", harness.world.bob)
    assert await begin(worker) == 4
    assert sorted(url[8] for url in await harness.sender.sending(4)) == ["a", "a", "b", "b"]
    answered.set()
    await worker.finish()


async def test_a_user_ends_the_pause_of_a_host_by_a_test_or_a_retry(
    harness: Harness, lane: WebhookDeliveries, worker: LaneWorker[Message]
) -> None:
    works, harness.sender.result = harness.sender.result, REFUSED
    await messages(harness, 18, "dead.example")

    async def attempts() -> int:
        harness.clock.advance(0.001)
        count = await begin(worker)
        await worker.finish()
        return count

    assert lane.paused_until("dead.example:443") is None
    assert [await attempts() for _ in range(3)] == [PER_HOST, PER_HOST, 0]
    # The pause began at the second look.
    assert lane.paused_until("dead.example:443") == harness.clock.now() + 60_000 - 1
    assert lane.paused_until("other.example:443") is None
    for _ in range(2):
        lane.requested(["dead.example:443"])
        assert [await attempts() for _ in range(2)] == [1, 0], "a probe that fails begins a pause"
    harness.sender.result = works
    lane.requested(["other.example:443"])
    assert await attempts() == 0
    lane.requested(["dead.example:443"])
    assert [await attempts() for _ in range(2)] == [1, PER_HOST]

    harness.sender.result = REFUSED
    await messages(harness, 12, "dead.example")
    while await attempts():
        pass
    harness.sender.result = works
    lane.answered("dead.example:443")
    assert await attempts() == PER_HOST, "the test message was the probe"


async def test_a_probe_that_the_store_stops_is_followed_by_another(
    harness: Harness,
    lane: WebhookDeliveries,
    worker: LaneWorker[Message],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness.sender.result = REFUSED
    await messages(harness, 12, "dead.example")
    while await begin(worker):
        await worker.finish()
    sent = len(harness.sender.sent)
    with monkeypatch.context() as patch:
        patch.setattr(harness.store.keys, "user", _fail)
        assert await step(harness, worker, HOST_PAUSES.longest) == 1
    assert len(harness.sender.sent) == sent

    assert await step(harness, worker) == 1
    assert len(harness.sender.sent) == sent + 1


async def _fail(_: int) -> None:
    raise StoreUnavailable("the disk is full")


async def test_a_host_that_refuses_connections_gets_one_attempt_a_minute(
    harness: Harness, worker: LaneWorker[Message]
) -> None:
    harness.sender.result = REFUSED
    await messages(harness, 12, "dead.example")
    await begin(worker)
    await worker.finish()
    await begin(worker)
    await worker.finish()
    sent = len(harness.sender.sent)
    assert sent == 2 * PER_HOST

    for _ in range(59):
        await step(harness, worker, 1)
    assert len(harness.sender.sent) == sent, "what waits uses up no attempt"
    await step(harness, worker, 1.1)
    assert len(harness.sender.sent) == sent + 1

    harness.sender.result = AttemptResult(204, None, 3, None, None, connect_failure=False)
    for _ in range(70):
        await step(harness, worker, 1)
    assert len(harness.sender.sent) >= sent + 12


async def test_a_pause_that_ends_during_a_look_leaves_no_message_lying(
    harness: Harness, worker: LaneWorker[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.sender.result = REFUSED
    for _ in range(5):
        await message(harness, "dead.example")
        await step(harness, worker, 0)
    lease = harness.store.outbox.lease

    async def slow(*given: Any) -> Any:
        found = await lease(*given)
        harness.clock.advance(0.01)
        return found

    monkeypatch.setattr(harness.store.outbox, "lease", slow)
    harness.clock.advance(59.995)
    await begin(worker)
    assert await step(harness, worker, 1) == 1
