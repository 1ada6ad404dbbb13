"""The outbox: finding and listing deliveries."""

from functools import partial
from itertools import product

import pytest

from store.deliveries import DeliveryFilter
from store.records.jobs import Job
from tests.store.outbox import DELIVERED, PENDING, relayed
from tests.store.world import NOW, SECOND, World


async def test_filters_work_together_newest_first_and_paged(world: World) -> None:
    jobs: list[Job] = []
    for user, url in (
        (world.ann, "https://a.example/"),
        (world.ann, "https://a.example:8443/"),
        (world.ann, "https://b.example/"),
        (world.ann, "https://[2001:db8::1]/"),
        (world.bob, "https://a.example/"),
    ):
        for _ in range(2):
            jobs.insert(0, await relayed(world, user=user, webhook_url=url))
    for delivery in (await world.lease())[::2]:
        await world.settle(delivery)
    list_page = world.store.deliveries.list_page
    first, last = await list_page(DeliveryFilter(), None, 6)
    second, end = await list_page(DeliveryFilter(), last, 6)
    everything = first + second
    assert ([each.job_id for each in everything], end) == ([job.id for job in jobs], None)

    for user_id, state in product((None, world.ann.id), (None, PENDING, DELIVERED)):
        found = partial(DeliveryFilter, user_id, state)
        kept = [x for x in everything if user_id in (None, x.user_id) and state in (None, x.state)]
        assert kept
        assert await list_page(found(), None, 99) == (kept, None)
        for host, port in (("a.example", None), ("a.example", 8443), ("2001:db8::1", None)):
            beginning = f"{host}:{port or ''}"
            there = [each for each in kept if each.host.startswith(beginning)]
            assert await list_page(found(host=beginning), None, 99) == (there, None)
        for each in kept:
            assert await list_page(found(job_id=each.job_id), None, 99) == ([each], None)
            of_none = found(job_id=each.job_id, host="c.example:")
            assert await list_page(of_none, None, 99) == ([], None)


async def test_a_page_ends_after_a_bounded_number_of_deliveries_that_do_not_fit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.repository.MAX_EXAMINED", 4)
    for port in (1, 2, 2, 2, 2, 2, 1):
        await relayed(world, webhook_url=f"https://a.example:{port}/")
    select, before, pages = DeliveryFilter(world.ann.id, host="a.example:1"), None, []
    while True:
        page, before = await world.store.deliveries.list_page(select, before, 9)
        pages.append([delivery.host for delivery in page])
        if before is None:
            break
    assert pages == [["a.example:1"], ["a.example:1"]]


async def test_the_backlog_says_how_many_and_since_when(world: World) -> None:
    deliveries = world.store.deliveries
    assert await deliveries.backlog() == (0, None)
    await relayed(world)
    await relayed(world)
    assert await deliveries.backlog() == (2, NOW)

    first, second = await world.lease()
    await world.settle(first)
    await world.settle(second, PENDING, NOW + 3 * SECOND)

    assert await deliveries.backlog() == (1, NOW)
