"""`Jobs`: creation, changes and reading."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from store.database import Store
from store.delivery_reads import DeliveryFilter
from store.errors import NotFound, ProviderIdTaken
from store.job_reads import JobFilter
from store.records.callbacks import CallbackVerdict, Verdict
from store.records.events import Note
from store.records.jobs import Claim, ErrorCode, Evidence, Job, JobError, Phase, Status, Tracking
from store.records.moves import Decide, Move
from store.records.times import Due, Lane
from tests.store.gate import held
from tests.store.world import (
    HOOK,
    NOW,
    SECOND,
    TRACE,
    World,
    accepted,
    attempt,
    change,
    completed,
    event_data,
    failed,
    message,
    new,
    quietly,
    rendering,
    waiting,
)

EVERYTHING = Tracking(
    poll_gap=7_500,
    polls=3,
    misses=2,
    missed_since=0,
    claims=(
        Claim(4, NOW, Status.COMPLETED, "done", {"videoUrl": "https://x.example"}, "fine"),
        Claim(5, NOW, Status.FAILED, None, None, None),
    ),
    failing_since=NOW,
    link_missing=True,
)


async def test_a_jobs_trace_context_is_stored(world: World) -> None:
    job, untraced = world.job(), await world.create()
    await world.store.jobs.create(replace(new(job), trace_context=TRACE))
    await world.advance(job, rendering(), completed())

    assert await world.store.jobs.trace_context_of(job.id) == TRACE
    assert await world.store.jobs.trace_context_of(untraced.id) is None
    assert await world.store.jobs.trace_context_of("job_unknown") is None


async def test_a_created_job_is_stored_with_its_input_event_and_due_time(world: World) -> None:
    job = await world.create(metadata={"order": "7", "ünï": "☃"}, webhook_events=("COMPLETED",))

    assert await world.store.jobs.find(job.id) == job
    assert await world.store.jobs.input_of(job.id) == {"prompt": "a cat"}
    (event,) = await world.store.events.after_for_job(job.id, 0, 10)
    assert (event.job_id, event.at, event.data) == (job.id, NOW, event_data(job))
    assert await world.store.jobs.lease_due(Lane.SUBMIT, NOW, NOW + 1, "me", 10) == [job]
    (changes,) = world.notified[:1]
    assert (changes.jobs, changes.users) == ({job.id}, {world.ann.id})
    assert changes.due == {Lane.SUBMIT: NOW}


EVERY_FIELD: dict[str, Any] = {
    "status": Status.FAILED,
    "phase": Phase.FINISHED,
    "progress": 12.5,
    "provider_status": "ODD",
    "evidence": Evidence.POLL,
    "message": "It is\u2028over.",
    "error": JobError(ErrorCode.PROVIDER_FAILED, "It failed.", True),
    "provider_request_id": "up-1",
    "id_from_answer": True,
    "done_at": NOW + 4,
    "accepted_at": NOW + 1,
    "unconfirmed_at": NOW + 2,
    "attempts": 2,
    "maybe_sent": True,
    "refused_with": 402,
    "tracking": EVERYTHING,
    "provider_urls": {"status": "https://queue.example/status"},
    "cancel_wanted": True,
    "due": Due(Lane.CONFIRM, NOW + 9),
}


@pytest.mark.parametrize(
    "decide",
    [change(NOW + 4, **EVERY_FIELD), completed(NOW + 5), failed(NOW, ErrorCode.RESULT_MISSING)],
    ids=["every-field", "completed", "failed"],
)
async def test_every_field_of_a_job_is_read_as_it_was_written(world: World, decide: Decide) -> None:
    job = await world.create(
        label="a cat",
        metadata={"order": "7"},
        webhook_url=HOOK,
        webhook_events=("progress", "FAILED"),
    )
    expected = decide(job)
    assert expected is not None

    returned, move = await world.store.jobs.advance(job.id, decide)

    assert move == expected
    assert await world.store.jobs.find(job.id) == returned == expected.job


async def test_a_change_writes_the_whole_move(world: World) -> None:
    job = await world.create(webhook_url=HOOK)
    await world.receive(job)
    (callback,) = await waiting(world.store)
    world.notified.clear()

    def decide(before: Job) -> Move:
        after = replace(
            before,
            status=Status.IN_PROGRESS,
            phase=Phase.RENDERING,
            accepted_at=NOW,
            seq=2,
            updated_at=NOW + 1,
            due=Due(Lane.POLL, NOW + 9),
            callbacks_waiting=False,
        )
        return Move(
            after,
            event_data(after),
            message(after),
            (CallbackVerdict(callback.id, Verdict.APPLIED, None, Evidence.CALLBACK),),
            (Note("poll", {"answer": "IN_PROGRESS"}, NOW + 2),),
        )

    after, _ = await world.store.jobs.advance(job.id, decide)

    assert await world.store.jobs.find(job.id) == after
    assert [event.data for event in await world.store.events.after_for_job(job.id, 1, 9)] == [
        event_data(after)
    ]
    (delivery,) = await world.store.deliveries.list_page(DeliveryFilter(), None, 9)
    assert (delivery.job_id, delivery.seq, delivery.status) == (job.id, 2, Status.IN_PROGRESS)
    assert (delivery.url, delivery.body) == (HOOK, event_data(after))
    assert await waiting(world.store) == []
    history = await world.store.jobs.history_of(job.id)
    assert [(line.at, line.type) for line in history] == [
        (NOW, "event"),
        (NOW, "callback"),
        (NOW + 1, "event"),
        (NOW + 2, "poll"),
    ]
    (changes,) = world.notified
    assert (changes.jobs, changes.users) == ({job.id}, {job.user_id})
    assert (changes.due, changes.relay) == ({Lane.POLL: NOW + 9}, True)


async def test_no_move_writes_nothing(world: World) -> None:
    job = await world.create()
    world.notified.clear()

    assert await world.store.jobs.advance(job.id, lambda _: None) == (job, None)

    assert await world.store.jobs.find(job.id) == job
    assert await world.store.events.latest_seq(job.user_id) == 1
    assert all(not changes.jobs and not changes.due for changes in world.notified)


def decide_and_fail(_: Job) -> Move:
    raise RuntimeError("no")


def relay_without_an_address(job: Job) -> Move:
    """Its relay message fails after job, due row and event are written."""
    after = replace(job, phase=Phase.ACCEPTED, accepted_at=NOW, seq=2, due=None)
    return Move(after, event_data(after), message(after))


@pytest.mark.parametrize(
    ("decide", "error"),
    [(decide_and_fail, RuntimeError), (relay_without_an_address, ValueError)],
)
async def test_a_change_that_fails_writes_nothing(
    world: World, decide: Decide, error: type[Exception]
) -> None:
    job = await world.create()

    with pytest.raises(error):
        await world.store.jobs.advance(job.id, decide)

    assert await world.store.jobs.find(job.id) == job
    assert await world.store.events.latest_seq(job.user_id) == 1
    assert (await world.advance(job, accepted())).seq == 2


IMPOSSIBLE: tuple[dict[str, Any], ...] = (
    {"phase": Phase.FINISHED},
    {"status": Status.FAILED},
    {"status": Status.COMPLETED, "phase": Phase.FINISHED, "done_at": NOW, "progress": 100},
    {"progress": 101},
    {"progress": 100},
    {"phase": Phase.ACCEPTED},
    {"phase": Phase.RENDERING, "accepted_at": NOW},
    {"phase": Phase.SUBMIT_UNCONFIRMED},
    {"done_at": NOW},
    {"provider_request_id": ""},
    {"provider_request_id": "x" * 201},
    {"seq": 0},
)


async def test_the_schema_refuses_impossible_rows(world: World) -> None:
    job = await world.create()

    for impossible in IMPOSSIBLE:
        with pytest.raises(Exception, match=r"(?i)check"):
            await world.store.jobs.advance(job.id, quietly(**impossible))
        assert await world.store.jobs.find(job.id) == job, impossible


async def test_unknown_jobs_are_not_found(world: World) -> None:
    unknown = world.job().id

    with pytest.raises(NotFound):
        await world.store.jobs.advance(unknown, lambda _: None)
    with pytest.raises(NotFound):
        await world.store.jobs.input_of(unknown)
    assert await world.store.jobs.find(unknown) is None
    assert await world.store.jobs.find_for_user(world.ann.id, unknown) is None
    assert await world.store.jobs.history_of(unknown) == []


async def test_a_providers_id_belongs_to_one_of_its_jobs(world: World) -> None:
    first, second = await world.create(), await world.create()
    elsewhere = await world.create(provider="other")
    await world.advance(first, accepted(provider_request_id="up-1"))

    with pytest.raises(ProviderIdTaken) as conflict:
        await world.advance(second, accepted(provider_request_id="up-1"))

    assert conflict.value.provider_request_id == "up-1"
    assert await world.store.jobs.find(second.id) == second
    assert (await world.advance(first, change())).provider_request_id == "up-1"
    await world.advance(second, accepted(provider_request_id="up-2"))
    await world.advance(elsewhere, accepted(provider_request_id="up-1"))
    assert (await world.find(elsewhere)).provider_request_id == "up-1"


async def test_users_see_only_their_own_jobs(world: World) -> None:
    job = await world.advance(await world.create(), accepted(provider_request_id="up-1"))
    theirs = await world.create(world.bob)
    jobs, ann, bob = world.store.jobs, world.ann.id, world.bob.id

    # All of these share one statement.
    found = await asyncio.gather(
        jobs.find_for_user(ann, job.id),
        jobs.find_for_user(bob, job.id),
        jobs.find_for_user(bob, theirs.id),
        jobs.find_for_user(ann, "job_unknown"),
        jobs.find(theirs.id),
    )
    assert [*found] == [job, None, theirs, None, theirs]
    assert await jobs.find_by_provider_id_for_user(ann, "up-1") == job
    assert await jobs.find_by_provider_id_for_user(bob, "up-1") is None
    assert await jobs.find_by_provider_id("up-1") == job
    assert await jobs.find_by_provider_id("up-2") is None
    for where in (JobFilter(), JobFilter(kind="create_movie"), JobFilter(status=Status.PENDING)):
        assert await jobs.list_for_user(ann, where, None, 10) == [job]
        assert await jobs.list_for_user(bob, where, None, 10) == [theirs]


async def test_lists_are_newest_first_and_paged(world: World) -> None:
    made = [await world.create(at=NOW + number) for number in range(7)]
    made.reverse()

    pages, before = [], None
    while page := await world.store.jobs.list_for_user(world.ann.id, JobFilter(), before, 3):
        pages.append(page)
        before = page[-1].id

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [job for page in pages for job in page] == made


FILTERS: tuple[tuple[JobFilter, list[int]], ...] = (
    (JobFilter(), [4, 3, 2, 1, 0]),
    (JobFilter(status=Status.PENDING), [4, 2, 1]),
    (JobFilter(status=Status.IN_PROGRESS), [3, 0]),
    (JobFilter(kind="create_narrative"), [3, 1]),
    (JobFilter(status=Status.PENDING, kind="create_narrative"), [1]),
    (JobFilter(created_after=NOW + 1), [4, 3, 2]),
    (JobFilter(created_before=NOW + 3), [2, 1, 0]),
    (JobFilter(created_after=NOW, created_before=NOW + 4), [3, 2, 1]),
    (JobFilter(metadata={"shop": "a"}), [4, 2, 0]),
    (JobFilter(metadata={"shop": "a", "lane": "x"}), [2, 0]),
    (JobFilter(metadata={"lane": "x", "shop": "a"}, status=Status.PENDING), [2]),
    (JobFilter(metadata={"shop": "a"}, created_before=NOW + 2), [0]),
    (JobFilter(metadata={"shop": "a"}, kind="create_narrative"), []),
    (JobFilter(metadata={"shop": ""}), []),
    (JobFilter(metadata={"nothing": "a"}), []),
    (JobFilter(provider="fal"), [3, 2, 0]),
    (JobFilter(provider="fal", kind="create_movie"), [2, 0]),
    (JobFilter(provider="fal", kind="another"), []),
    (JobFilter(provider="fal", status=Status.PENDING), [2]),
    (JobFilter(provider="fal", metadata={"shop": "a"}), [2, 0]),
    (JobFilter(provider="nobody"), []),
)


async def test_lists_are_filtered(world: World) -> None:
    metadata = [
        {"shop": "a", "lane": "x"},
        {"shop": "b", "lane": "x"},
        {"shop": "a", "lane": "x", "more": "y"},
        None,
        {"shop": "a", "lane": "z"},
    ]
    made = []
    for number, given in enumerate(metadata):
        kind = "create_narrative" if number in (1, 3) else "create_movie"
        provider = "fal" if number in (0, 2, 3) else "samsar"
        job = await world.create(at=NOW + number, kind=kind, provider=provider, metadata=given)
        made.append(await world.advance(job, rendering()) if number in (0, 3) else job)
    await world.create(world.bob, at=NOW + 9, metadata={"shop": "a", "lane": "x"})

    for where, expected in FILTERS:
        found = await world.store.jobs.list_for_user(world.ann.id, where, None, 10)
        assert [made.index(job) for job in found] == expected, where


LOOKED_THROUGH: tuple[tuple[JobFilter, list[str | None]], ...] = (
    (JobFilter(), ["Bob's cat", "100% CAT", "a_cat", "Ümläut", None]),
    (JobFilter(label="cAt"), ["Bob's cat", "100% CAT", "a_cat"]),
    (JobFilter(label="0% c"), ["100% CAT"]),
    (JobFilter(label="_"), ["a_cat"]),
    (JobFilter(label="\\"), []),
    (JobFilter(label="ÜMLÄUT"), []),
    (JobFilter(label="üml"), []),
    (JobFilter(label="Üml"), ["Ümläut"]),
    (JobFilter(provider="fal"), ["a_cat"]),
    (JobFilter(provider="fal", label="dog"), []),
    (JobFilter(label="cat", metadata={"shop": "a"}), ["100% CAT"]),
    (JobFilter(label="cat", status=Status.IN_PROGRESS), []),
    (JobFilter(created_after=NOW + 1, created_before=NOW + 4), ["100% CAT", "a_cat"]),
)


async def test_all_users_jobs_are_searched(world: World) -> None:
    await world.create(at=NOW)
    await world.create(at=NOW + 1, label="Ümläut")
    await world.create(at=NOW + 2, label="a_cat", provider="fal")
    await world.create(at=NOW + 3, label="100% CAT", metadata={"shop": "a"})
    await world.create(world.bob, at=NOW + 4, label="Bob's cat")

    for where, expected in LOOKED_THROUGH:
        found, more = await world.store.jobs.look_through(None, where, None, 10)
        of_ann, _ = await world.store.jobs.look_through(world.ann.id, where, None, 10)
        assert ([job.label for job in found], more) == (expected, None), where
        anns = [label for label in expected if label != "Bob's cat"]
        assert [job.label for job in of_ann] == anns, where


@pytest.mark.parametrize("label", [None, "cat"])
async def test_a_page_of_a_search_ends_after_a_bounded_number_of_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch, label: str | None
) -> None:
    monkeypatch.setattr("store.job_reads.LOOKED_THROUGH", 4)
    jobs = [
        await world.create(at=NOW + n, label="cat" if n in (1, 2, 8) else "dog") for n in range(9)
    ]
    pages, before = [], None
    while True:
        found, before = await world.store.jobs.look_through(
            world.ann.id, JobFilter(label=label), before, 2
        )
        pages.append([jobs.index(job) for job in found])
        if before is None:
            break

    assert pages == ([[8], [2, 1], []] if label else [[8, 7], [6, 5], [4, 3], [2, 1], [0]])


async def test_a_clock_that_stepped_back_hides_no_job_from_a_filter(world: World) -> None:
    await world.create(at=NOW + 3600 * SECOND)
    stepped = await world.create(at=NOW)  # its id says an hour later

    where = JobFilter(created_after=NOW - 1, created_before=NOW + 1)

    assert await world.store.jobs.list_for_user(world.ann.id, where, None, 10) == [stepped]


async def test_jobs_in_a_phase_are_listed_oldest_first(world: World) -> None:
    first, second, third = [await world.create(at=NOW + number) for number in range(3)]
    await world.advance(second, quietly(phase=Phase.SUBMITTING))

    assert await world.store.jobs.in_phase(Phase.QUEUED, 10) == [first.id, third.id]
    assert await world.store.jobs.in_phase(Phase.QUEUED, 1) == [first.id]
    assert await world.store.jobs.in_phase(Phase.SUBMITTING, 10) == [second.id]


async def test_newest_is_when_the_newest_job_was_created(world: World) -> None:
    assert await world.store.jobs.newest() is None
    await world.create(at=NOW + 5)
    await world.create(world.bob, at=NOW + 9)
    assert await world.store.jobs.newest() == NOW + 9


async def test_the_census_counts_unfinished_jobs(world: World) -> None:
    assert await world.store.jobs.census() == {}
    await world.create(at=NOW + 5)
    await world.create(world.bob, at=NOW + 3)
    await world.advance(await world.create(at=NOW + 1), rendering())
    await world.advance(await world.create(), completed())

    assert await world.store.jobs.census() == {"queued": (2, NOW + 3), "rendering": (1, NOW + 1)}


async def test_the_history_has_everything_oldest_first(world: World) -> None:
    job = await world.create(webhook_url=HOOK)
    await world.receive(job, b'{"status":"COMPLETED"}', at=NOW + 2)
    (callback,) = await waiting(world.store)
    await world.advance(job, rendering(NOW + 2, relay=True))
    (delivery,) = await world.lease(at=NOW + 3)
    await world.settle(delivery, delivery.state, NOW + 9, made=attempt(NOW + 3))
    ruling = CallbackVerdict(callback.id, Verdict.CONFIRMED, False, Evidence.DEADLINE)
    note = Note("poll", {"failed": "timeout"}, NOW + 5)
    await world.store.jobs.advance(job.id, lambda now: Move(now, None, None, (ruling,), (note,)))
    other = await world.create(world.bob)
    await world.receive(other)

    history = await world.store.jobs.history_of(job.id)

    assert [(line.at - NOW, line.type) for line in history] == [
        (0, "event"),
        (2, "callback"),
        (2, "event"),
        (3, "relay"),
        (5, "poll"),
    ]
    created, received, changed, relayed, polled = (dict(line.detail) for line in history)
    assert created["job"]["seq"] == 1
    assert changed["job"] == {"request_id": job.id, "seq": 2, "status": "IN_PROGRESS"}
    assert received == {
        "verdict": "confirmed",
        "evidence": "deadline",
        "confirmed": False,
        "verified": False,
        "bytes": 22,
        "body": '{"status":"COMPLETED"}',
    }
    assert relayed == {
        "delivery": delivery.id,
        "seq": 2,
        "status_code": 500,
        "error": None,
        "duration_ms": 12,
    }
    assert polled == {"failed": "timeout"}


async def test_an_id_that_is_not_text_fails_alone(world: World) -> None:
    job = await world.create()

    good, bad = await asyncio.gather(
        *(world.store.jobs.find(job_id) for job_id in (job.id, "\ud800")), return_exceptions=True
    )

    assert good == job
    assert isinstance(bad, UnicodeError)


async def test_a_change_that_a_client_waits_for_goes_first(world: World) -> None:
    assert isinstance(world.store, Store)
    behind, first = await world.create(), await world.create()
    order: list[str] = []

    def noting(job: Job) -> Move | None:
        order.append(job.id)
        return change()(job)

    gate, holding = await held(world.store._writer)
    changing = [
        asyncio.ensure_future(world.store.jobs.advance(behind.id, noting)),
        asyncio.ensure_future(world.store.jobs.advance(first.id, noting, client_waits=True)),
    ]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(holding, *changing)

    assert order == [first.id, behind.id]
