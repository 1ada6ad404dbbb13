"""Several processes on one database: leases, locks and notifications."""

import asyncio
from collections.abc import Awaitable

import psycopg
import pytest

from store.changes import CommitNotice
from store.errors import KeyInUse, KeyReused, ProviderIdTaken
from store.idempotency import IdempotencyKey, Replay
from store.lanes import Look
from store.postgres.address import parse
from store.postgres.notifications import Notifications, _read
from store.records.jobs import Job, Phase
from store.records.times import Due, Lane
from tests.store.world import (
    HOOK,
    NOW,
    SECOND,
    World,
    accepted,
    change,
    everything,
    lease_due,
    new,
    quietly,
    rendering,
)
from tests.support.service import eventually

# --- leases ---------------------------------------------------------------------------------------


async def test_a_due_job_is_leased_once(here: World, there: World) -> None:
    jobs = {(await here.create()).id for _ in range(60)}

    def lease(world: World, holder: str = "me") -> Awaitable[list[Job]]:
        return lease_due(world.store, Lane.SUBMIT, NOW, NOW + SECOND, holder, 10)

    taken = await asyncio.gather(
        *(lease(world, f"{n}") for n in range(4) for world in (here, there))
    )

    flat = [job.id for each in taken for job in each]
    assert len(flat) == len(set(flat))
    assert set(flat) <= jobs
    rest = [await lease(here) for _ in range(6)]
    assert {job.id for each in rest for job in each} | set(flat) == jobs
    assert not here.store.exclusive


async def test_one_message_of_a_job_is_in_flight_in_all_processes(
    here: World, there: World
) -> None:
    for _ in range(5):
        job = await here.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS",))
        await here.advance(job, rendering(relay=True), change(relay=True, progress=5.0))
    # All messages go to one host. Two processes lease them at once, and each job is leased once.
    taken = await asyncio.gather(
        *(world.lease(f"{n}", limit=3) for n in range(4) for world in (here, there))
    )

    jobs = [delivery.job_id for each in taken for delivery in each]
    assert len(jobs) == len(set(jobs)) == 5


async def test_a_message_that_a_replica_of_the_previous_release_leases_is_not_leased_too(
    here: World, other: psycopg.Connection
) -> None:
    """It locks the message's job, not the lane."""
    job = await here.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS",))
    await here.advance(job, rendering(relay=True))
    other.execute("BEGIN")
    other.execute("SELECT id FROM jobs FOR NO KEY UPDATE")
    leasing = asyncio.ensure_future(here.lease())
    is_waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    await eventually(lambda: _value(other, is_waiting), bool)
    other.execute("UPDATE deliveries SET holder = 'older', held_until = %s", [NOW + SECOND])
    other.execute("COMMIT")

    assert await leasing == []


async def test_the_end_of_a_lease_waits_for_its_job(here: World, other: psycopg.Connection) -> None:
    """`settle` locks the job first too, so the two do not deadlock."""
    job = await here.create(webhook_url=HOOK, webhook_events=("IN_PROGRESS",))
    await here.advance(job, rendering(relay=True))
    assert await here.lease(until=NOW + SECOND)
    other.execute("BEGIN")
    other.execute("SET LOCAL lock_timeout = 100")
    other.execute("SELECT id FROM jobs FOR NO KEY UPDATE")
    leasing = asyncio.ensure_future(here.lease(at=NOW + SECOND))
    await eventually(lambda: _value(other, "SELECT count(*) FROM pg_locks WHERE NOT granted"), bool)
    other.execute("UPDATE deliveries SET holder = 'renewed', held_until = %s", [NOW + 9 * SECOND])
    other.execute("COMMIT")

    assert await leasing == []


async def _value(connection: psycopg.Connection, query: str) -> int:
    ((value,),) = connection.execute(query.encode()).fetchall()
    return int(value)


async def test_two_processes_never_exceed_the_places_at_a_provider(
    here: World, there: World
) -> None:
    """The lane's lock: a look counts what the one before it has taken."""
    for _ in range(20):
        await here.create(provider="fal")
    begin = quietly(phase=Phase.SUBMITTING, due=Due(Lane.SUBMITTING, NOW + SECOND))
    look: Look = Look(Lane.SUBMIT, NOW, 2, everything, limits={"fal": 5})

    taken = await asyncio.gather(
        *(world.store.due.advance(look, begin) for _ in range(6) for world in (here, there))
    )

    assert sum(len(found.taken) for found in taken) == 5
    assert await there.store.places.in_flight("fal") == 5


# --- writes at the same time ----------------------------------------------------------------------


async def test_events_are_numbered_without_gaps_and_seen_in_order(
    here: World, there: World
) -> None:
    jobs = [await here.create() for _ in range(5)]
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < 5 + 5 * 20:
            page = await there.store.events.after_for_user(here.ann.id, len(seen), 200)
            seen.extend(event.cursor.seq for event in page)
            await asyncio.sleep(0)

    reading = asyncio.create_task(read())
    await asyncio.gather(
        *(
            world.store.jobs.advance(job.id, change(NOW + n))
            for n in range(10)
            for job in jobs
            for world in (here, there)
        )
    )
    async with asyncio.timeout(5):
        await reading

    assert seen == [*range(1, 1 + 5 + 5 * 20)]
    assert [(await there.find(job)).seq for job in jobs] == [21] * 5


async def test_one_key_creates_one_job_in_all_processes(here: World, there: World) -> None:
    def key(fingerprint: str = "same") -> IdempotencyKey:
        times = (NOW, NOW + SECOND, NOW + 60 * SECOND)
        return IdempotencyKey("/v1/jobs", "once", fingerprint, *times)

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
    assert {type(each) for each in outcomes} - {type(made[0])} <= {KeyInUse, KeyReused}
    assert len(await here.store.events.after_for_user(here.ann.id, 0, 9)) == 1


async def test_two_jobs_cannot_take_one_id(here: World, there: World) -> None:
    one, two = await here.create(), await here.create()

    outcomes = await asyncio.gather(
        here.store.jobs.advance(one.id, accepted(provider_request_id="p")),
        there.store.jobs.advance(two.id, accepted(provider_request_id="p")),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes if isinstance(each, BaseException)] == [ProviderIdTaken]


# --- notifications --------------------------------------------------------------------------------


async def test_one_process_is_notified_of_the_others_commits(here: World, there: World) -> None:
    made: set[str] = set()

    async def notified() -> bool:
        # A process that does not listen yet misses a notification, so send more until it does.
        job = await here.create()
        made.add(job.id)
        await here.receive(job)
        received = CommitNotice()
        for each in there.notified:
            received.add(each)
        # Callbacks and events go only to the process that stored them.
        is_exact = received == CommitNotice(received.jobs, {here.ann.id}, due={Lane.SUBMIT: NOW})
        return is_exact and bool(received.jobs) and received.jobs <= made

    await eventually(notified, bool)


async def test_changed_elsewhere_tells_nothing_while_nothing_happens(
    here: World, there: World
) -> None:
    async def quiet() -> bool:
        await asyncio.sleep(0.03)
        return not await there.store.changed_elsewhere()

    await eventually(quiet, bool)
    await here.receive(await here.create())

    assert await there.store.changed_elsewhere()
    await eventually(quiet, bool)


@pytest.mark.parametrize("payload", ["", "{", "[]", "{}", '{"from":"x","due":{"what":1}}'])
def test_an_unreadable_notification_changes_nothing(payload: str) -> None:
    assert _read("node", payload) == CommitNotice()


async def test_notifications_go_on_after_a_full_queue_and_have_room_for_some_ids() -> None:
    sent = asyncio.Queue[str]()
    failures = [psycopg.errors.ProgramLimitExceeded("too many notifications in the NOTIFY queue")]

    async def send(payload: str) -> None:
        await sent.put(payload)
        while failures:
            raise failures.pop()

    nowhere = parse("postgresql://db/app?listen=none")
    notifications = Notifications("n" * 16, nowhere, send, lambda _: None)
    notifications.announce(CommitNotice({"job_1"}))
    assert _read("n" * 16, await sent.get()) is None
    notice = CommitNotice({"job_2", "job_3"}, {1, 2}, due=dict.fromkeys(Lane, 2**62))
    notifications.announce(notice)

    async with asyncio.timeout(5):
        assert _read("another", await sent.get()) == notice
    await notifications.close()
