"""`Events`: the log from which streams read."""

import asyncio
from dataclasses import replace
from functools import partial

from store.records.events import Cursor
from store.records.transitions import Decide, Transition
from tests.store.world import NOW, World, change, completed, event_data, rendering

MIB = 1024 * 1024


async def test_a_users_log_has_no_gaps(world: World) -> None:
    anns = [await world.create() for _ in range(5)]
    bobs = [await world.create(world.bob) for _ in range(3)]
    await asyncio.gather(*(world.advance(job, change(), change()) for job in anns + bobs))

    ends = await world.store.events.ends([world.ann.id, world.bob.id, 999])
    assert {user_id: end.seq for user_id, end in ends.items()} == {
        world.ann.id: 15,
        world.bob.id: 9,
    }
    for user, count in ((world.ann, 15), (world.bob, 9)):
        events = await world.store.events.after_for_user(user.id, 0, 200)
        assert [event.cursor.seq for event in events] == list(range(1, count + 1))
        assert len({event.cursor.nonce for event in events}) == count
        assert await world.store.events.latest(user.id) == events[-1].cursor


async def test_a_jobs_events_are_its_own(world: World) -> None:
    job, other = await world.create(), await world.create()
    await world.advance(other, change(NOW + 1))
    later = await world.advance(job, change(NOW + 2))

    events = await world.store.events.after_for_job(job.id, 0, 10)

    assert [(event.cursor.seq, event.job_id, event.at) for event in events] == [
        (1, job.id, NOW),
        (4, job.id, NOW + 2),
    ]
    assert [event.data for event in events] == [event_data(job), event_data(later)]
    assert await world.store.events.after_for_job(job.id, 1, 10) == events[1:]
    assert await world.store.events.after_for_job(job.id, 0, 1) == events[:1]
    assert await world.store.events.after_for_job(job.id, 4, 10) == []


def large(size: int) -> Decide:
    return lambda job: Transition(replace(job, seq=job.seq + 1), b"x" * size)


async def test_a_page_ends_at_its_rows_or_at_a_mebibyte(world: World) -> None:
    job = await world.create()
    await world.advance(job, *map(large, (10, MIB // 2, MIB // 2, MIB // 2, 3 * MIB, 10)))
    log = world.store.events

    for read in (partial(log.after_for_job, job.id), partial(log.after_for_user, job.user_id)):
        pages: list[list[int]] = []
        while page := await read(pages[-1][-1] if pages else 0, 200):
            pages.append([event.cursor.seq for event in page])
        assert pages == [[1, 2, 3, 4], [5, 6], [7]]
        assert [event.cursor.seq for event in await read(0, 2)] == [1, 2]


async def test_a_snapshot_has_the_users_cursor_and_unfinished_jobs(world: World) -> None:
    made = [await world.create(at=NOW + number) for number in range(4)]
    made[1] = await world.advance(made[1], completed())
    made[2] = await world.advance(made[2], rendering())
    await world.create(world.bob)
    log = world.store.events

    cursor, jobs, more = await log.snapshot_for_user(world.ann.id, 3)
    assert (list(jobs), more) == ([made[3], made[2], made[0]], False)
    assert cursor == (await log.after_for_user(world.ann.id, 0, 200))[-1].cursor
    cursor_again, jobs, more = await log.snapshot_for_user(world.ann.id, 2)
    assert (cursor_again, list(jobs), more) == (cursor, [made[3], made[2]], True)
    assert await log.snapshot_for_job(made[1].id) == (cursor, made[1])
    assert await log.snapshot_for_job(world.job().id) is None


async def test_a_cursor_is_recognised_by_its_nonce(world: World) -> None:
    log = world.store.events
    origin, jobs, more = await log.snapshot_for_user(world.ann.id, 10)
    assert (origin.seq, list(jobs), more) == (0, [], False)
    assert await log.latest(world.ann.id) == origin
    for user in (world.ann, world.bob, world.ann):
        await world.create(user)
    first, last = [event.cursor for event in await log.after_for_user(world.ann.id, 0, 9)]

    for cursor in (origin, first, last):
        assert await log.can_resume(world.ann.id, cursor)
        assert not await log.can_resume(world.bob.id, cursor)
        assert not await log.can_resume(world.ann.id, Cursor(cursor.seq, "other"))
    for seq in (-1, 1, 3):
        assert not await log.can_resume(world.ann.id, Cursor(seq, last.nonce))
    assert not await log.can_resume(999, last)


async def test_a_stream_resumes_only_where_it_lacks_no_event(world: World) -> None:
    kept, gone = await world.create(), await world.create()
    log = world.store.events
    await world.advance(gone, completed())
    await world.advance(kept, change())
    cursors = [event.cursor for event in await log.after_for_user(world.ann.id, 0, 9)]

    assert await world.remove_finished() == 1

    assert [await log.can_resume(world.ann.id, cursor) for cursor in cursors] == [
        False,  # when the kept job was created; events after it have been removed
        False,
        False,  # removed itself
        True,
    ]
    assert [await log.can_resume_job(kept, cursor) for cursor in cursors] == [
        True,  # its creation
        False,  # removed events of another job
        False,
        True,
    ]
    assert not await log.can_resume_job(kept, Cursor(1, "made-up"))

    await world.advance(kept, completed())
    last = await log.latest(world.ann.id)
    assert await world.remove_finished() == 1

    # The log goes on after all its events were removed.
    assert await log.latest(world.ann.id) == last
    cursor, jobs, more = await log.snapshot_for_user(world.ann.id, 9)
    assert (cursor, list(jobs), more) == (last, [], False)
    assert await log.can_resume(world.ann.id, last)
    assert not await log.can_resume(world.ann.id, cursors[-1])
    assert not await log.can_resume_job(kept, cursors[-1])
    again = await world.create()
    (event,) = await log.after_for_user(world.ann.id, last.seq, 9)
    assert (event.cursor.seq, event.job_id) == (last.seq + 1, again.id)
