"""The outbox: limits for each host and user, and users taking turns."""

from unittest.mock import Mock

import pytest

from store import deliveries
from tests.store.outbox import lease_one, relayed
from tests.store.world import NOW, SECOND, FakeSlots, World


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
