"""Lists of jobs and the search: filters and pages."""

import pytest

from store.job_reads import JobFilter
from store.records.jobs import Job, Status
from tests.store.world import NOW, SECOND, World, rendering


async def pages_of(world: World, where: JobFilter, limit: int) -> list[list[Job]]:
    """All pages of Ann's jobs."""
    page, before = await world.store.jobs.list_page(world.ann.id, where, None, limit)
    pages = [page]
    while before is not None:
        page, before = await world.store.jobs.list_page(world.ann.id, where, before, limit)
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
        found, more = await world.store.jobs.list_page(world.ann.id, where, None, 10)
        assert more is None, where
        assert [made.index(job) for job in found] == expected, where


LOOKED_THROUGH: tuple[tuple[JobFilter, list[str | None]], ...] = (
    (JobFilter(), ["Bob's cat", "100% CAT", "a_cat", "Ümläut", None]),
    (JobFilter(label="cAt"), ["Bob's cat", "100% CAT", "a_cat"]),
    (JobFilter(label="0% c"), ["100% CAT"]),
    (JobFilter(label="_"), ["a_cat"]),
    (JobFilter(label="\\"), []),
    (JobFilter(label="\0"), []),
    (JobFilter(label="a\0c"), []),
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
        found, more = await world.store.jobs.list_page(None, where, None, 10)
        of_ann, _ = await world.store.jobs.list_page(world.ann.id, where, None, 10)
        assert ([job.label for job in found], more) == (expected, None), where
        anns = [label for label in expected if label != "Bob's cat"]
        assert [job.label for job in of_ann] == anns, where


SEARCHES: tuple[tuple[JobFilter, list[list[int]]], ...] = (
    (JobFilter(), [[8, 7], [6, 5], [4, 3], [2, 1], [0]]),
    (JobFilter(kind="create_movie"), [[8, 7], [6, 5], [4, 3], [2, 1], [0]]),
    (JobFilter(metadata={"a": "b"}), [[8, 7], [6, 5], [4, 3], [2, 1], [0]]),
    (JobFilter(created_before=NOW + 3), [[2, 1], [0]]),
    (JobFilter(label="cat"), [[8], [2, 1], []]),
    (JobFilter(label="cat", kind="create_movie"), [[8], [2, 1], []]),
    (JobFilter(provider="fal", kind="create_movie"), [[8, 2], [1]]),
    (JobFilter(provider="samsar", label="cat"), [[], []]),
    (JobFilter(provider="fal", metadata={"a": "b"}), [[8], [2, 1], []]),
    (JobFilter(metadata={"a": "b", "n": "1"}), [[1]]),
    (JobFilter(metadata={"n": "1", "a": "b"}, provider="fal"), [[1]]),
    (JobFilter(metadata={"a": "b"}, created_before=NOW + 3), [[2, 1], [0]]),
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
        pages = await pages_of(world, where, 2)
        assert [[jobs.index(job) for job in page] for page in pages] == expected, where


async def test_after_the_clock_stepped_back_a_job_is_found_by_its_created_at(world: World) -> None:
    hour = 3600 * SECOND
    before = await world.create(at=NOW + hour)
    stepped = await world.create(at=NOW)
    assert stepped.id > before.id

    for span, found in (((-1, 1), [stepped]), ((hour - 1, hour + 1), [before])):
        where = JobFilter(created_after=NOW + span[0], created_before=NOW + span[1])
        assert await world.store.jobs.list_page(world.ann.id, where, None, 10) == (found, None)
