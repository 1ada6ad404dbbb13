"""Lists of jobs and the search: filters and pages."""

from itertools import product
from typing import Any

import pytest

from store.job_reads import JobFilter
from store.records.jobs import Job, Status
from tests.store.world import NOW, SECOND, World, rendering


async def pages_of(
    world: World, where: JobFilter, limit: int, user_id: int | None = None
) -> list[list[Job]]:
    """All pages of a user's jobs, or of everybody's."""
    page, before = await world.store.jobs.list_page(user_id, where, None, limit)
    pages = [page]
    while before is not None:
        page, before = await world.store.jobs.list_page(user_id, where, before, limit)
        pages.append(page)
    return pages


async def test_a_page_ends_when_its_jobs_are_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.repository.PAGE_BYTES", 3_000)
    made = [await world.create(at=NOW + n, metadata={"long": "x" * 1_000}) for n in range(7)]
    made.reverse()

    pages = await pages_of(world, JobFilter(), 5)

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [job for page in pages for job in page] == made


MADE: tuple[dict[str, Any], ...] = (
    {"kind": "create_narrative", "provider": "fal", "label": "Cat"},
    {"metadata": {"shop": "a", "lane": "x"}, "provider": "fal", "label": "a cat"},
    {"metadata": {"shop": "b", "lane": "x"}, "kind": "create_narrative"},
    {"metadata": {"shop": "a", "lane": "x", "more": "y"}, "kind": "create_narrative"},
    {"metadata": {"shop": "a", "lane": "z"}, "label": "dog"},
)


def fits(job: Job, where: JobFilter) -> bool:
    return (
        where.status in (None, job.status)
        and where.kind in (None, job.kind)
        and where.provider in (None, job.provider)
        and (where.created_after is None or where.created_after < job.created_at)
        and (where.created_before is None or job.created_at < where.created_before)
        and where.metadata.items() <= (job.metadata or {}).items()
        and (where.label or "").lower() in (job.label or "").lower()
    )


COMBINATIONS: list[tuple[Any, ...]] = list(
    product(
        (None, Status.PENDING),
        (None, "create_narrative"),
        (None, "fal"),
        (None, NOW),
        (None, NOW + 3),
        ({}, {"shop": "a"}, {"shop": "a", "lane": "x"}, {"nothing": "a"}),
        (None, "cAT"),
    )
)
"""Values of the fields of `JobFilter`."""


async def test_filters_work_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.repository.MAX_EXAMINED", 4)
    made: list[Job] = []
    for number, (user, fields) in enumerate(product((world.ann, world.bob), MADE)):
        job = await world.create(user, NOW + number, **fields)
        made.insert(0, await world.advance(job, rendering()) if number % 2 else job)

    for user_id, given in product((None, world.ann.id), COMBINATIONS):
        where = JobFilter(*given)
        found = [job for page in await pages_of(world, where, 2, user_id) for job in page]
        assert found == [job for job in made if user_id in (None, job.user_id) and fits(job, where)]


async def test_a_label_is_searched_for_a_text(world: World) -> None:
    for label in (None, "Ümläut", "a_cat", "100% CAT"):
        await world.create(label=label)

    for text, expected in (
        ("cAt", ["100% CAT", "a_cat"]),
        ("0% c", ["100% CAT"]),
        ("_", ["a_cat"]),
        *((nowhere, []) for nowhere in ("\\", "\0", "a\0c", "ÜMLÄUT", "üml")),
        ("Üml", ["Ümläut"]),
    ):
        found, _ = await world.store.jobs.list_page(None, JobFilter(label=text), None, 10)
        assert [job.label for job in found] == expected, text


SEARCHES: tuple[tuple[JobFilter, list[list[int]]], ...] = (
    (JobFilter(kind="create_movie"), [[8, 7], [6, 5], [4, 3], [2, 1], [0]]),
    (JobFilter(metadata={"a": "b"}, created_before=NOW + 3), [[2, 1], [0]]),
    (JobFilter(label="cat"), [[8], [2, 1], []]),
    (JobFilter(provider="fal", kind="create_movie"), [[8, 2], [1]]),
    (JobFilter(provider="fal", metadata={"a": "b"}), [[8], [2, 1], []]),
    (JobFilter(metadata={"n": "1", "a": "b"}, provider="fal"), [[1]]),
)
"""Filters, and the pages of nine jobs: a page has at most two jobs, and examines at most four."""


async def test_a_page_ends_after_a_bounded_number_of_jobs_that_do_not_fit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.repository.MAX_EXAMINED", 4)
    jobs = [
        await world.create(
            at=NOW + n,
            label="cat" if n in (1, 2, 8) else "dog",
            provider="fal" if n in (1, 2, 8) else "samsar",
            metadata={"a": "b", "n": str(n)},
        )
        for n in range(9)
    ]
    for where, expected in SEARCHES:
        pages = await pages_of(world, where, 2, world.ann.id)
        assert [[jobs.index(job) for job in page] for page in pages] == expected, where


async def test_after_the_clock_stepped_back_a_job_is_found_by_its_created_at(world: World) -> None:
    hour = 3600 * SECOND
    before = await world.create(at=NOW + hour)
    stepped = await world.create(at=NOW)
    assert stepped.id > before.id

    for span, found in (((-1, 1), [stepped]), ((hour - 1, hour + 1), [before])):
        where = JobFilter(created_after=NOW + span[0], created_before=NOW + span[1])
        assert await world.store.jobs.list_page(world.ann.id, where, None, 10) == (found, None)
