"""Several processes on one database: who gets what, who hears what, and who waits for whom."""

import asyncio

import psycopg
import pytest

from store.contract import Changes
from store.errors import KeyHeld, KeyReused, ProviderIdTaken, StoreLocked
from store.postgres.foreign_commits import MANY, ForeignCommits, Snapshot
from store.postgres.notifications import IDS, _payloads, _read
from store.records import IdempotencyKey, Lane, Replay
from tests.store.postgres.conftest import eventually
from tests.store.world import HOOK, NOW, SECOND, World, accepted, change, new, rendering

# --- claims ---------------------------------------------------------------------------------------


async def test_a_due_job_is_given_to_one(here: World, there: World) -> None:
    jobs = {(await here.create()).id for _ in range(60)}

    async def lease(world: World, holder: str) -> list[str]:
        return [
            job.id
            for job in await world.store.jobs.lease_due(
                Lane.SUBMIT, NOW, NOW + 60 * SECOND, holder, 10
            )
        ]

    taken = await asyncio.gather(
        *(lease(world, f"{n}") for n in range(4) for world in (here, there))
    )

    flat = [job_id for each in taken for job_id in each]
    assert len(flat) == len(set(flat))
    assert set(flat) <= jobs
    rest = [await lease(here, "last") for _ in range(6)]
    assert {job_id for each in rest for job_id in each} | set(flat) == jobs


async def test_what_a_dead_process_holds_is_taken_when_its_hold_ends(
    here: World, there: World
) -> None:
    job = await here.create()
    assert await here.store.jobs.lease_due(Lane.SUBMIT, NOW, NOW + SECOND, "dead", 9)

    assert not await there.store.jobs.lease_due(Lane.SUBMIT, NOW, NOW + SECOND, "living", 9)
    (taken,) = await there.store.jobs.lease_due(
        Lane.SUBMIT, NOW + SECOND, NOW + 9 * SECOND, "living", 9
    )

    assert taken.id == job.id
    assert not here.store.exclusive


async def test_one_message_of_a_job_is_in_flight_whoever_sends_it(
    here: World, there: World
) -> None:
    for _ in range(5):
        job = await here.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS",))
        await here.advance(job, rendering(relay=True), change(relay=True, progress=5.0))
    # All messages are one host's: twenty by two processes at once, and each job once.
    taken = await asyncio.gather(
        *(world.lease(f"{n}", per_host=3) for n in range(4) for world in (here, there))
    )

    jobs = [delivery.job_id for each in taken for delivery in each]
    assert len(jobs) == len(set(jobs)) == 5


async def test_a_lost_hold_settles_nothing(here: World, there: World) -> None:
    job = await here.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS",))
    await here.advance(job, rendering(relay=True))
    (mine,) = await here.lease("slow", until=NOW + SECOND)
    (again,) = await there.lease("quick", at=NOW + 2 * SECOND)
    assert again.id == mine.id

    assert not await here.settle(mine, holder="slow")
    assert await there.settle(mine, holder="quick")


# --- writes at the same time ----------------------------------------------------------------------


async def test_events_are_numbered_without_gaps_and_seen_in_order(
    here: World, there: World
) -> None:
    jobs = [await here.create(user) for user in (here.ann, here.bob) for _ in range(5)]
    seen: dict[int, list[int]] = {here.ann.id: [], here.bob.id: []}
    writing = True

    async def read(user_id: int) -> None:
        while writing or await there.store.events.latest_seq(user_id) > len(seen[user_id]):
            after = len(seen[user_id])
            page = await there.store.events.after_for_user(user_id, after, 200)
            seen[user_id] += [event.cursor.seq for event in page]
            await asyncio.sleep(0)

    readers = [asyncio.create_task(read(user_id)) for user_id in seen]
    await asyncio.gather(
        *(
            world.store.jobs.advance(job.id, change(NOW + n))
            for n in range(10)
            for job in jobs
            for world in (here, there)
        )
    )
    writing = False
    await asyncio.gather(*readers)

    for user_id, places in seen.items():
        assert places == [*range(1, 1 + 5 + 5 * 20)], user_id
    for job in jobs:
        found = await there.find(job)
        assert found.seq == 21


async def test_users_crossed_between_two_processes_lock_nobody_out(
    here: World, there: World
) -> None:
    a = [await here.create(here.ann) for _ in range(8)]
    b = [await here.create(here.bob) for _ in range(8)]
    orders = [(here.store.jobs, [*a, *b]), (there.store.jobs, [*b, *a])]

    async with asyncio.timeout(10):
        for _ in range(5):
            await asyncio.gather(
                *(store.advance(job.id, change()) for store, jobs in orders for job in jobs)
            )

    assert await here.store.events.latest_seq(here.ann.id) == 8 + 5 * 16


async def test_one_key_makes_one_job_whoever_is_asked(here: World, there: World) -> None:
    def key(fingerprint: str = "same") -> IdempotencyKey:
        return IdempotencyKey("/v1/jobs", "once", fingerprint, NOW + SECOND, NOW + 60 * SECOND)

    outcomes = await asyncio.gather(
        *(
            world.store.jobs.create(new(world.job()), key())
            for _ in range(5)
            for world in (here, there)
        ),
        there.store.jobs.create(new(there.job()), key("another")),
        return_exceptions=True,
    )

    made = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(made) == 1
    assert not isinstance(made[0], Replay)
    assert {type(each) for each in outcomes} - {type(made[0])} <= {KeyHeld, KeyReused}
    assert len(await here.store.events.after_for_user(here.ann.id, 0, 9)) == 1


async def test_two_jobs_cannot_take_one_id(here: World, there: World) -> None:
    one, two = await here.create(), await here.create()

    outcomes = await asyncio.gather(
        here.store.jobs.advance(one.id, accepted(provider_request_id="p")),
        there.store.jobs.advance(two.id, accepted(provider_request_id="p")),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes if isinstance(each, BaseException)] == [ProviderIdTaken]


async def test_a_lock_that_somebody_keeps_is_unavailable_and_holds_up_nobody_else(
    here: World, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.postgres.batches.LOCK_TIMEOUT", 50)
    monkeypatch.setattr("store.postgres.batches.LOCK_TIMEOUT_ALONE", 50)
    kept, free = await here.create(), await here.create()
    with other.transaction():
        other.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", (kept.id,))
        outcomes = await asyncio.gather(
            *(here.store.jobs.advance(job.id, change()) for job in (kept, free)),
            return_exceptions=True,
        )

    assert isinstance(outcomes[0], StoreLocked)
    assert not isinstance(outcomes[1], BaseException)
    assert (await here.store.jobs.advance(kept.id, change()))[0].seq == 2


# --- hearing of one another -----------------------------------------------------------------------


async def test_what_one_commits_the_other_hears(here: World, there: World) -> None:
    made: set[str] = set()

    async def heard() -> bool:
        # A process that does not listen yet misses a notification: send another until it does.
        job = await here.create()
        made.add(job.id)
        await here.receive(job)
        said = Changes()
        for each in there.notified:
            said.add(each)
        # Callbacks and events are for the process that stored them.
        said_rightly = said == Changes(said.jobs, {here.ann.id}, due={Lane.SUBMIT: NOW})
        return said_rightly and bool(said.jobs) and said.jobs <= made

    await eventually(heard)


async def test_the_safety_poll_sees_what_others_commit_and_not_ones_own(
    here: World, there: World
) -> None:
    for store in (here.store, there.store):
        await store.changed_elsewhere()
    # The notifications of opening, and of these reads, end.
    await eventually(lambda: _quiet(here))
    await eventually(lambda: _quiet(there))

    await here.receive(await here.create())

    assert await there.store.changed_elsewhere()
    await eventually(lambda: _quiet(here))


async def _quiet(world: World) -> bool:
    await asyncio.sleep(0.03)
    return not await world.store.changed_elsewhere()


def test_a_snapshot_tells_whose_transactions_have_ended() -> None:
    elsewhere = ForeignCommits()
    elsewhere.own(12)
    assert not elsewhere.changed(Snapshot.parse("10:12:10"))
    # 12 is ours, 10 still runs, 13 has not ended.
    assert not elsewhere.changed(Snapshot.parse("10:14:10,13"))
    # 10 has ended: it began before 12, and commits after it.
    assert elsewhere.changed(Snapshot.parse("13:14:13"))
    assert not elsewhere.changed(Snapshot.parse("13:14:13"))
    assert elsewhere.changed(Snapshot.parse("14:14:"))
    assert elsewhere.changed(Snapshot.parse(f"14:{20 + MANY}:14"))


def test_a_notification_has_room_for_all_of_its_ids() -> None:
    changes = Changes(
        {f"job_{n:026d}" for n in range(3 * IDS - 1)},
        {*range(9)},
        due={Lane.POLL: 1, Lane.WAIT: 2},
        relay=True,
    )
    payloads = list(_payloads("node", changes))

    assert len(payloads) == 3
    assert max(map(len, payloads)) < 8_000
    heard = Changes()
    for payload in payloads:
        assert _read("node", payload) is None
        said = _read("another", payload)
        assert said is not None
        heard.add(said)
    assert heard == changes


@pytest.mark.parametrize("payload", ["", "{", "[]", "{}", '{"from":"x","due":{"what":1}}'])
def test_a_stranger_on_the_channel_rings_for_nothing(payload: str) -> None:
    assert _read("node", payload) == Changes()
