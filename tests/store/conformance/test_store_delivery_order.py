"""The outbox: the messages of a job are sent in order, and a newer one replaces updates; users take
turns."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from store import lanes
from store.lanes import START, Candidate, Look
from store.records.deliveries import DeliveryState
from store.records.jobs import ErrorCode
from store.records.times import Lane, Lease
from tests.store.outbox import DELIVERED, PENDING, SKIPPED, lease_one, relayed
from tests.store.world import HOOK, NOW, SECOND, World, completed, failed, rendering

DECLARED = failed(NOW, ErrorCode.DEADLINE_EXCEEDED, relay=True)


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
async def test_the_providers_outcome_replaces_a_provisional_failure(
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


@pytest.mark.parametrize("how", ["delivered", "failed", "released", "ended", "orphaned"])
async def test_one_is_in_flight_for_a_job_and_skipped_if_it_was_overtaken(
    world: World, how: str
) -> None:
    job = await relayed(world)
    update = await lease_one(world)
    await world.advance(job, completed(relay=True))
    assert await world.lease("you") == []
    assert await world.deliveries(job) == {2: PENDING, 3: PENDING}

    if how == "delivered":
        await world.settle(update)
    if how == "failed":
        await world.settle(update, PENDING, NOW + 5 * SECOND)
    if how == "released":
        await world.store.outbox.release("me")
    if how == "orphaned":
        await world.store.end_leases()

    at = NOW + 60 * SECOND if how == "ended" else NOW
    assert (await lease_one(world, at=at)).seq == 3
    assert await world.deliveries(job) == {
        2: DELIVERED if how == "delivered" else SKIPPED,
        3: PENDING,
    }


# --- turns ----------------------------------------------------------------------------------------


async def test_the_user_with_the_fewest_in_flight_is_next(world: World) -> None:
    for user in (world.ann, world.ann, world.bob):
        await relayed(world, user=user)
    assert [(await lease_one(world, limit=1)).user for _ in range(3)] == ["ann", "bob", "ann"]


async def test_a_look_reads_a_bounded_number_of_messages_and_the_next_one_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So neither a user's many hosts nor many messages to one host delay another user's."""
    monkeypatch.setattr(lanes, "ROWS_PER_LOOK", 3)
    for number in range(4):
        await relayed(world, webhook_url=f"https://h{number}.example/")
    await relayed(world, user=world.bob)
    seen: list[str] = []

    def choose(due: Sequence[Candidate]) -> Sequence[Candidate]:
        seen.extend(each.peer for each in due)
        return []

    store, lease = world.store.outbox, Lease("me", NOW + SECOND)
    look = Look(Lane.DELIVER, NOW, 9, choose)
    found = await store.lease(look, lease)
    assert (len(seen), found.has_more, found.bookmark.peer) == (3, True, "h2.example:443")
    assert found.taken == [], "only what was chosen is leased"

    found = await store.lease(replace(look, bookmark=found.bookmark), lease)
    assert seen[3:] == ["h3.example:443", "hooks.example:443"]
    assert found.bookmark == START
