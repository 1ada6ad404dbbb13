"""The outbox: the messages of a job are sent in order, and a newer one replaces updates; users take
turns, and hosts and users have a limit."""

from unittest.mock import Mock

import pytest

from store import deliveries
from store.records.deliveries import DeliveryState
from store.records.jobs import ErrorCode
from tests.store.outbox import DELIVERED, PENDING, SKIPPED, lease_one, relayed
from tests.store.world import HOOK, NOW, SECOND, FakeSlots, World, completed, failed, rendering

DECLARED = failed(NOW, ErrorCode.DEADLINE_EXCEEDED, relay=True)


async def test_a_newer_message_skips_waiting_updates(world: World) -> None:
    job = await relayed(world)
    await world.advance(job, rendering(relay=True), rendering(relay=True))
    assert await world.deliveries(job) == {2: SKIPPED, 3: SKIPPED, 4: PENDING}

    await world.advance(job, completed(relay=True))

    assert await world.deliveries(job) == {2: SKIPPED, 3: SKIPPED, 4: SKIPPED, 5: PENDING}
    assert (await lease_one(world)).seq == 5


async def test_a_final_message_is_never_skipped(world: World) -> None:
    job = await world.create(webhook_url=HOOK)
    await world.advance(job, failed(relay=True), rendering(relay=True, error=None, done_at=None))

    assert await world.deliveries(job) == {2: PENDING, 3: PENDING}
    first = await lease_one(world)
    assert first.seq == 2
    await world.settle(first, PENDING, NOW + 5 * SECOND)
    assert await world.lease() == []  # the newer message waits for it
    await world.settle(await lease_one(world, at=NOW + 5 * SECOND))
    assert (await lease_one(world, at=NOW + 5 * SECOND)).seq == 3


@pytest.mark.parametrize(("relay", "left"), [(True, {3: PENDING}), (False, {})])
async def test_the_providers_outcome_replaces_a_self_declared_failure(
    world: World, relay: bool, left: dict[int, DeliveryState]
) -> None:
    """This holds even if the user has not subscribed to the outcome."""
    job = await world.create(webhook_url=HOOK)

    await world.advance(job, DECLARED, completed(relay=relay))

    assert await world.deliveries(job) == {2: SKIPPED, **left}


@pytest.mark.parametrize(
    ("made", "state"), [((PENDING, NOW + 5 * SECOND), SKIPPED), ((DELIVERED, None), DELIVERED)]
)
async def test_a_failure_that_is_replaced_while_it_is_sent_is_not_sent_again(
    world: World, made: tuple[DeliveryState, int | None], state: DeliveryState
) -> None:
    job = await world.create(webhook_url=HOOK)
    await world.advance(job, DECLARED)
    failure = await lease_one(world)

    await world.advance(job, completed())
    assert await world.deliveries(job) == {2: PENDING}
    await world.settle(failure, *made)

    assert await world.deliveries(job) == {2: state}


async def test_one_is_in_flight_for_a_job(world: World) -> None:
    job = await relayed(world)
    update = await lease_one(world)
    await world.advance(job, completed(relay=True))

    assert await world.lease("you") == []
    assert await world.deliveries(job) == {2: PENDING, 3: PENDING}
    assert await world.store.deliveries.next_due() == NOW + 60 * SECOND
    await world.settle(update, DELIVERED)

    assert await world.deliveries(job) == {2: DELIVERED, 3: PENDING}
    assert (await lease_one(world)).seq == 3


@pytest.mark.parametrize("how", ["failed", "released", "ended", "orphaned"])
async def test_an_overtaken_update_is_skipped_when_its_lease_ends(world: World, how: str) -> None:
    job = await relayed(world)
    update = await lease_one(world)
    await world.advance(job, completed(relay=True))
    later = NOW + 60 * SECOND

    if how == "failed":
        assert await world.settle(update, PENDING, NOW + 5 * SECOND)
        later = NOW
    if how == "released":
        await world.store.deliveries.release("me")
    if how == "orphaned":
        await world.store.end_leases()
        later = NOW

    assert (await lease_one(world, at=later)).seq == 3
    assert await world.deliveries(job) == {2: SKIPPED, 3: PENDING}


# --- turns and limits -----------------------------------------------------------------------------


async def test_hosts_and_users_have_a_limit(world: World) -> None:
    for _ in range(6):
        await relayed(world)
    elsewhere = await relayed(world, webhook_url="https://other.example/")

    leased = await world.lease(busy_hosts={"hooks.example:443": 1})
    assert [delivery.host for delivery in leased].count("hooks.example:443") == 3
    assert elsewhere.id in {delivery.job_id for delivery in leased}

    for number in range(6):
        for user in (world.ann, world.bob) if number < 2 else (world.ann,):
            await relayed(world, user=user, webhook_url=f"https://h{number}.example/")
    busy_hosts = {"hooks.example:443": 4}
    leased = await world.lease(per_user=5, busy_users={world.ann.id: 2}, busy_hosts=busy_hosts)
    users = [delivery.user_id for delivery in leased]
    assert (users.count(world.ann.id), users.count(world.bob.id)) == (3, 2)


async def test_a_full_host_or_user_does_not_delay_others(world: World) -> None:
    for _ in range(40):
        await relayed(world)
    elsewhere = await relayed(world, user=world.bob, webhook_url="https://other.example/")
    same_host = await relayed(world, user=world.bob)

    leased = await world.lease(busy_hosts={"hooks.example:443": 4})
    assert [delivery.job_id for delivery in leased] == [elsewhere.id]
    leased = await world.lease(busy_users={world.ann.id: 16})
    assert [delivery.job_id for delivery in leased] == [same_host.id]


async def test_a_users_many_hosts_are_looked_at_in_rotation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "HOSTS_AT_ONCE", 3)
    for number in range(11):
        await relayed(world, webhook_url=f"https://h{number:02}.example/")
    await relayed(world, user=world.bob, webhook_url="https://zoo.example/")

    looked_at = [await asked(world) for _ in range(4)]

    names = [{host[:3] for host in hosts} for hosts in looked_at]
    first = {"h00", "h01", "h02", "zoo"}
    assert names == [
        first | {"h03", "h04", "h05"},
        first | {"h06", "h07", "h08"},
        first | {"h09", "h10"},
        first | {"h03", "h04", "h05"},
    ]
    assert all(len(hosts) <= 7 for hosts in looked_at)


async def test_no_host_is_looked_at_while_nothing_is_due(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at ten thousand hosts took the writer 25 ms and more, in each pass."""
    await relayed(world)
    looked_at = Mock(side_effect=world.store.deliveries._due_hosts)
    monkeypatch.setattr(world.store.deliveries, "_due_hosts", looked_at)

    for now, calls in ((NOW - 1, 0), (NOW, 1)):
        leased, _ = await world.store.deliveries.lease(now, now + SECOND, "me", FakeSlots)
        assert (len(leased), looked_at.call_count) == (calls, calls)


async def asked(world: World) -> list[str]:
    """The hosts that a lease looks at when no slot is free."""
    limits = FakeSlots(limit=0)
    leased, _ = await world.store.deliveries.lease(NOW, NOW + SECOND, "me", lambda: limits)
    assert leased == []
    return limits.asked


async def test_users_take_turns_within_a_lease(world: World) -> None:
    for number in range(5):
        await relayed(world, webhook_url=f"https://h{number}.example/")
    other = await relayed(world, user=world.bob, webhook_url="https://other.example/")

    leased = await world.lease(limit=2)

    assert len(leased) == 2
    assert other.id in {delivery.job_id for delivery in leased}


async def test_users_take_turns_between_leases(world: World) -> None:
    for number in range(3):
        await relayed(world, webhook_url=f"https://h{number}.example/")
    await relayed(world, user=world.bob, webhook_url="https://other.example/")

    users = [(await lease_one(world, limit=1)).user for _ in range(4)]

    assert users == ["ann", "bob", "ann", "ann"], "although Bob's message is the newest"
