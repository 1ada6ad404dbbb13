"""`Deliveries`: the outbox."""

import asyncio
from dataclasses import replace
from functools import partial
from itertools import product

import pytest

from store import deliveries
from store.delivery_reads import DeliveryFilter
from store.errors import DeliveryPending, NotFound
from store.records.deliveries import Delivery, DeliveryState
from store.records.jobs import ErrorCode, Job
from tests.store.world import (
    HOOK,
    NOW,
    SECOND,
    Limits,
    World,
    attempt,
    completed,
    failed,
    rendering,
)

PENDING, DELIVERED, SKIPPED = (
    DeliveryState.PENDING,
    DeliveryState.DELIVERED,
    DeliveryState.SKIPPED,
)
EXHAUSTED, DISABLED = DeliveryState.EXHAUSTED, DeliveryState.DISABLED


async def relayed(world: World, **fields: object) -> Job:
    """A job with one update in the outbox."""
    job = await world.create(**{"webhook_url": HOOK, **fields})  # type: ignore[arg-type]  # any
    return await world.advance(job, rendering(relay=True))


async def one(world: World, **limits: object) -> Delivery:
    (delivery,) = await world.lease(**limits)  # type: ignore[arg-type]  # whatever lease takes
    return delivery


async def again(world: World, delivery: Delivery) -> Delivery:
    found = await world.store.deliveries.find(delivery.id)
    assert found is not None
    return found


async def test_a_new_message_is_due(world: World) -> None:
    job = await relayed(world)

    delivery = await one(world)

    assert delivery.id.startswith("msg_")
    assert (delivery.job_id, delivery.user_id, delivery.seq) == (job.id, job.user_id, 2)
    assert (delivery.state, delivery.step, delivery.attempts) == (PENDING, 0, ())
    assert (delivery.url, delivery.created_at, delivery.next_attempt_at) == (HOOK, NOW, NOW)


async def test_a_host_is_a_name_and_a_port(world: World) -> None:
    for url, host in (
        ("https://Hooks.Example./in?x=1", "hooks.example:443"),
        ("https://a.example:8443/x", "a.example:8443"),
        ("http://a.example/x", "a.example:80"),
        ("https://[2001:DB8::1]/x", "2001:db8::1:443"),
    ):
        job = await relayed(world, webhook_url=url)
        (delivery,) = await world.store.deliveries.list_page(DeliveryFilter(job_id=job.id), None, 9)
        assert (delivery.url, delivery.host) == (url, host)


async def test_a_delivered_message_is_not_sent_again(world: World) -> None:
    await relayed(world)
    delivery = await one(world)
    world.notified.clear()

    assert await world.settle(delivery)

    settled = await again(world, delivery)
    assert (settled.state, settled.step, settled.attempts) == (DELIVERED, 1, (attempt(),))
    assert (settled.next_attempt_at, settled.delivered_at) == (None, NOW + 12)
    assert await world.lease(at=NOW + 999 * SECOND) == []
    assert [changes.relay for changes in world.notified][:1] == [True]


async def test_a_failed_attempt_is_followed_by_the_next(world: World) -> None:
    await relayed(world)
    await world.settle(await one(world), PENDING, NOW + 5 * SECOND)

    assert await world.lease(at=NOW + 5 * SECOND - 1) == []
    delivery = await one(world, at=NOW + 5 * SECOND)
    assert (delivery.step, len(delivery.attempts)) == (1, 1)
    await world.settle(delivery, EXHAUSTED)

    settled = await again(world, delivery)
    assert (settled.state, settled.step, len(settled.attempts)) == (EXHAUSTED, 2, 2)


async def test_a_message_can_be_leased_again_when_its_lease_has_ended(world: World) -> None:
    await relayed(world)
    delivery = await one(world, until=NOW + SECOND)

    assert await world.lease("you", at=NOW + SECOND - 1) == []
    assert (await one(world, holder="you", at=NOW + SECOND)).id == delivery.id


async def test_the_last_fifty_attempts_are_kept(world: World) -> None:
    await relayed(world)
    delivery = await one(world)
    for number in range(52):
        made = replace(attempt(), duration_ms=number)
        await world.settle(delivery, EXHAUSTED, made=made)
        await world.store.deliveries.retry(delivery.id, NOW)
        delivery = await one(world)

    settled = await again(world, delivery)
    assert [made.duration_ms for made in settled.attempts] == list(range(2, 52))


async def test_a_lease_from_before_the_clock_was_set_back_has_ended(world: World) -> None:
    """No believable lease ends more than ten minutes later than one that is taken now."""
    await relayed(world)
    delivery = await one(world, until=NOW + 660 * SECOND)

    assert await world.lease("you", until=NOW + 60 * SECOND) == []
    assert (await one(world, holder="you", until=NOW + 59 * SECOND)).id == delivery.id


async def test_a_holder_that_lost_its_lease_cannot_write_the_state(world: World) -> None:
    await relayed(world)
    delivery = await one(world, until=NOW + SECOND)
    await one(world, holder="you", at=NOW + SECOND)

    assert not await world.settle(delivery, DELIVERED)

    assert (await again(world, delivery)).state is PENDING
    assert len((await again(world, delivery)).attempts) == 1
    assert await world.settle(delivery, DELIVERED, holder="you")
    assert len((await again(world, delivery)).attempts) == 2


async def test_an_attempt_of_a_removed_delivery_is_ignored(world: World) -> None:
    assert not await world.store.deliveries.settle(
        "msg_unknown", "me", attempt(), DELIVERED, None, host_off=False
    )


async def test_two_holders_never_share_a_message(world: World) -> None:
    for _ in range(12):
        await relayed(world)

    leases = await asyncio.gather(*(world.lease(f"h{n}", limit=2, per_host=9) for n in range(9)))

    taken = [delivery.id for lease in leases for delivery in lease]
    assert len(taken) == len(set(taken)) == 12


# --- order and skipping ---------------------------------------------------------------------------


async def test_a_newer_message_skips_waiting_updates(world: World) -> None:
    job = await relayed(world)
    await world.advance(job, rendering(relay=True), rendering(relay=True))
    assert await world.deliveries(job) == {2: SKIPPED, 3: SKIPPED, 4: PENDING}

    await world.advance(job, completed(relay=True))

    assert await world.deliveries(job) == {2: SKIPPED, 3: SKIPPED, 4: SKIPPED, 5: PENDING}
    assert (await one(world)).seq == 5


async def test_a_final_message_is_never_skipped(world: World) -> None:
    job = await world.create(webhook_url=HOOK)
    await world.advance(job, failed(relay=True), rendering(relay=True, error=None, done_at=None))

    assert await world.deliveries(job) == {2: PENDING, 3: PENDING}
    first = await one(world)
    assert first.seq == 2
    await world.settle(first, PENDING, NOW + 5 * SECOND)
    assert await world.lease() == []  # the newer one waits for it
    await world.settle(await one(world, at=NOW + 5 * SECOND))
    assert (await one(world, at=NOW + 5 * SECOND)).seq == 3


async def test_the_providers_outcome_replaces_a_self_declared_failure(world: World) -> None:
    job = await world.create(webhook_url=HOOK)

    await world.advance(
        job, failed(NOW, ErrorCode.DEADLINE_EXCEEDED, relay=True), completed(relay=True)
    )

    assert await world.deliveries(job) == {2: SKIPPED, 3: PENDING}


async def test_one_is_in_flight_for_a_job(world: World) -> None:
    job = await relayed(world)
    update = await one(world)
    await world.advance(job, completed(relay=True))

    assert await world.lease("you") == []
    assert await world.deliveries(job) == {2: PENDING, 3: PENDING}
    assert await world.store.deliveries.next_due() == NOW + 60 * SECOND
    await world.settle(update, DELIVERED)

    assert await world.deliveries(job) == {2: DELIVERED, 3: PENDING}
    assert (await one(world)).seq == 3


async def test_a_failed_update_that_was_overtaken_in_flight_is_skipped(world: World) -> None:
    job = await relayed(world)
    update = await one(world)
    await world.advance(job, completed(relay=True))

    assert await world.settle(update, PENDING, NOW + 5 * SECOND)

    assert await world.deliveries(job) == {2: SKIPPED, 3: PENDING}


@pytest.mark.parametrize("how", ["released", "ended", "orphaned"])
async def test_an_overtaken_update_is_skipped_when_its_lease_ends(world: World, how: str) -> None:
    job = await relayed(world)
    await one(world)
    await world.advance(job, completed(relay=True))
    later = NOW + 60 * SECOND

    if how == "released":
        await world.store.deliveries.release("me")
    if how == "orphaned":
        await world.store.deliveries.end_leases()
        later = NOW

    assert (await one(world, at=later)).seq == 3
    assert await world.deliveries(job) == {2: SKIPPED, 3: PENDING}


# --- limits ---------------------------------------------------------------------------------------


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


async def asked(world: World) -> list[str]:
    """The hosts that are looked at where no slot is free."""
    limits = Limits(limit=0)
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

    users = [(await one(world, limit=1)).user for _ in range(4)]

    assert users == ["ann", "bob", "ann", "ann"], "although Bob's message is the youngest"


# --- releasing, turning off, retrying -------------------------------------------------------------


async def test_a_released_message_is_due_as_before(world: World) -> None:
    await relayed(world)
    delivery = await one(world)
    await world.store.deliveries.release("you")
    assert await world.lease("you") == []

    await world.store.deliveries.release("me")
    assert await world.lease("gone") == [delivery]
    await world.store.deliveries.end_leases()
    assert [leased.id for leased in await world.lease()] == [delivery.id]


async def test_a_410_turns_off_the_address_of_its_job(world: World) -> None:
    job, other = await relayed(world), await relayed(world)
    update = next(each for each in await world.lease() if each.job_id == job.id)
    await world.advance(job, rendering(relay=True))

    assert await world.settle(update, DISABLED, host_off=True)

    assert await world.deliveries(job) == {2: DISABLED, 3: DISABLED}
    assert await world.deliveries(other) == {2: PENDING}
    found = await world.find(job)
    assert found.webhook_off
    await world.advance(job, completed(relay=True))
    assert await world.deliveries(job) == {2: DISABLED, 3: DISABLED, 4: DISABLED}


@pytest.mark.parametrize("state", [DELIVERED, EXHAUSTED])
async def test_a_delivery_can_be_retried(world: World, state: DeliveryState) -> None:
    await relayed(world)
    delivery = await one(world)
    await world.settle(delivery, state)
    world.notified.clear()

    retried = await world.store.deliveries.retry(delivery.id, NOW + 7)

    assert retried == await again(world, delivery)
    assert (retried.state, retried.step, retried.next_attempt_at) == (PENDING, 0, NOW + 7)
    assert (retried.delivered_at, len(retried.attempts)) == (None, 1)
    assert (await one(world, at=NOW + 7)).id == delivery.id
    assert world.notified[0].relay


async def test_a_retried_delivery_is_out_of_order_and_not_skipped(
    world: World,
) -> None:
    job = await relayed(world)
    first = await one(world)
    await world.settle(first, EXHAUSTED)
    await world.advance(job, rendering(relay=True))
    await world.store.deliveries.retry(first.id, NOW)
    await world.advance(job, rendering(relay=True))
    assert await world.deliveries(job) == {2: PENDING, 3: SKIPPED, 4: PENDING}

    leased = [await one(world)]
    await world.settle(leased[0])
    leased.append(await one(world))

    assert {delivery.seq for delivery in leased} == {2, 4}


async def test_a_retried_delivery_waits_for_the_one_in_flight(world: World) -> None:
    job = await relayed(world)
    first = await one(world)
    await world.settle(first, EXHAUSTED)
    await world.advance(job, rendering(relay=True))
    flying = await one(world)

    await world.store.deliveries.retry(first.id, NOW)

    assert await world.lease() == []
    await world.settle(flying)
    assert (await one(world)).id == first.id


async def test_a_retried_delivery_is_in_order_again_after_its_attempt(world: World) -> None:
    job = await relayed(world)
    first = await one(world)
    await world.settle(first, EXHAUSTED)
    await world.store.deliveries.retry(first.id, NOW)
    await world.settle(await one(world), PENDING, NOW + 5 * SECOND)

    await world.advance(job, rendering(relay=True))

    assert await world.deliveries(job) == {2: SKIPPED, 3: PENDING}


async def test_a_retry_turns_the_address_on_again(world: World) -> None:
    job = await relayed(world)
    delivery = await one(world)
    await world.settle(delivery, DISABLED, host_off=True)

    await world.store.deliveries.retry(delivery.id, NOW)

    found = await world.find(job)
    assert not found.webhook_off


async def test_a_pending_delivery_cannot_be_retried(world: World) -> None:
    await relayed(world)
    delivery = await one(world)

    with pytest.raises(DeliveryPending):
        await world.store.deliveries.retry(delivery.id, NOW)
    with pytest.raises(NotFound):
        await world.store.deliveries.retry("msg_unknown", NOW)


# --- reading --------------------------------------------------------------------------------------


async def test_users_see_only_their_own_deliveries(world: World) -> None:
    await relayed(world)
    delivery = await one(world)
    deliveries = world.store.deliveries

    assert await deliveries.find_for_user(world.ann.id, delivery.id) == delivery
    assert await deliveries.find_for_user(world.bob.id, delivery.id) is None
    for state in (None, PENDING):
        mine, his = (DeliveryFilter(user.id, state) for user in (world.ann, world.bob))
        assert await deliveries.list_page(mine, None, 9) == [delivery]
        assert await deliveries.list_page(his, None, 9) == []
    assert await deliveries.find("msg_unknown") is None


async def test_lists_are_newest_first_and_paged(world: World) -> None:
    jobs = [await relayed(world) for _ in range(5)]
    list_page = world.store.deliveries.list_page
    everything = DeliveryFilter(world.ann.id)

    first = await list_page(everything, None, 3)
    second = await list_page(everything, first[-1].id, 3)
    assert [delivery.job_id for delivery in first + second] == [job.id for job in reversed(jobs)]

    await world.settle((await world.lease())[0], DELIVERED)
    assert len(await list_page(DeliveryFilter(world.ann.id, DELIVERED), None, 9)) == 1
    assert len(await list_page(DeliveryFilter(world.ann.id, PENDING), None, 9)) == 4


async def test_filters_work_together(world: World) -> None:
    for user, url in (
        (world.ann, "https://a.example/"),
        (world.ann, "https://a.example:8443/"),
        (world.ann, "https://b.example/"),
        (world.ann, "https://[2001:db8::1]/"),
        (world.bob, "https://a.example/"),
    ):
        for _ in range(2):
            await relayed(world, user=user, webhook_url=url)
    for delivery in (await world.lease())[::2]:
        await world.settle(delivery)
    list_page = world.store.deliveries.list_page
    everything = await list_page(DeliveryFilter(), None, 99)

    for user_id, state in product((None, world.ann.id), (None, PENDING, DELIVERED)):
        found = partial(DeliveryFilter, user_id, state)
        kept = [x for x in everything if user_id in (None, x.user_id) and state in (None, x.state)]
        assert kept
        assert await list_page(found(), None, 99) == kept
        for host, port in (("a.example", None), ("a.example", 8443), ("2001:db8::1", None)):
            beginning = f"{host}:{port or ''}"
            assert await list_page(found(host=host, port=port), None, 99) == [
                each for each in kept if each.host.startswith(beginning)
            ]
        for each in kept:
            assert await list_page(found(job_id=each.job_id), None, 99) == [each]
            assert await list_page(found(job_id=each.job_id, host="c.example"), None, 99) == []


async def test_many_deliveries_are_retried_by_state(world: World) -> None:
    jobs = [await relayed(world, webhook_url=f"https://h{n}.example/") for n in range(3)]
    off, exhausted, pending = await world.lease()
    await world.settle(off, DISABLED, host_off=True)
    await world.settle(exhausted, EXHAUSTED)
    world.notified.clear()
    every = [delivery.id for delivery in (off, exhausted, pending)] + ["msg_unknown"]

    assert await world.store.deliveries.retry_those(every, DISABLED, NOW + 7) == 1

    again_due = await again(world, off)
    assert (again_due.state, again_due.next_attempt_at) == (PENDING, NOW + 7)
    assert (await again(world, exhausted)).state is EXHAUSTED
    job = await world.store.jobs.find(off.job_id)
    assert job is not None
    assert not job.webhook_off
    assert world.notified[0].relay
    assert {job.id for job in jobs} == {each.job_id for each in (off, exhausted, pending)}


async def test_next_due_and_backlog(world: World) -> None:
    deliveries = world.store.deliveries
    assert (await deliveries.next_due(), await deliveries.backlog()) == (None, (0, None))
    await relayed(world)
    await relayed(world)
    assert (await deliveries.next_due(), await deliveries.backlog()) == (NOW, (2, NOW))

    first, second = await world.lease(until=NOW + 9 * SECOND)
    assert await deliveries.next_due() == NOW + 9 * SECOND
    await world.settle(first)
    await world.settle(second, PENDING, NOW + 3 * SECOND)

    assert await deliveries.next_due() == NOW + 3 * SECOND
    assert await deliveries.backlog() == (1, NOW)
