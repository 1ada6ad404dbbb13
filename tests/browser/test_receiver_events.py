"""The module that follows a stream from a page of another origin, in a real Chromium."""

from playwright.async_api import Route

from tests.browser.conftest import Start, Visit
from tests.browser.other_origin import FOLLOW, other_origin, seen, wait_until_seen
from tests.support.service import ShiftedClock, eventually, submit


async def test_refused_streams_are_opened_again_until_the_job_is_done(
    visit: Visit, start: Start
) -> None:
    async with other_origin() as origin:
        clock = ShiftedClock()
        service = await start(sandbox_render=3600, clock=clock, cors_origins=origin.url)
        job_id = await origin.order(service)
        page = (await visit(origin.url)).page
        await page.goto(origin.url)
        refusals = [502, 401, 503]
        cursors: list[str] = []

        async def refuse(route: Route) -> None:
            cursors.append(route.request.url.partition("last_event_id=")[2])
            if refusals:
                await route.fulfill(status=refusals.pop(0), body="a proxy")
            else:
                await route.continue_()

        await page.route(f"**/v1/jobs/{job_id}/events*", refuse)
        await page.evaluate(FOLLOW, service.url)
        await wait_until_seen(page, "snapshot")
        clock.skip(1800)
        await wait_until_seen(page, "update")
        clock.skip(1800)
        events = await wait_until_seen(page, "done")

    assert events[:3] == [["trouble", "the stream was refused"]] * 3
    assert origin.tickets == 4
    assert cursors == [""] * 4
    kind, first = events[3]
    assert kind == "snapshot"
    *updates, done = events[4:]
    assert updates
    assert updates == [["update", seq] for seq in range(first + 1, first + 1 + len(updates))]
    assert done == ["done", "COMPLETED"]


async def test_a_new_ticket_continues_after_the_last_event(visit: Visit, start: Start) -> None:
    async with other_origin() as origin:
        service = await start(sandbox_render=60, cors_origins=origin.url)
        origin.client = await service.user()
        page = (await visit(origin.url)).page
        await page.goto(origin.url)
        await page.evaluate(FOLLOW, service.url)
        assert await wait_until_seen(page, "snapshot") == [["snapshot", 0]]
        await submit(origin.client)
        await wait_until_seen(page, "update", 3)

        await service.store.keys.revoke(origin.client.headers["API-KEY"][:11], 1)
        origin.client = await service.user()
        service.inner.context.broadcast.close()  # like a restart; the old ticket then gets a 401
        service.inner.context.broadcast.closing = False
        await wait_until_seen(page, "trouble")
        (job,) = (await origin.client.get("/v1/jobs")).json()["jobs"]
        cancelled = (await origin.client.post(job["links"]["cancel"])).json()
        events = await eventually(
            lambda: seen(page), lambda all_: ["update", cancelled["seq"]] in all_, "the cancel"
        )

    assert origin.tickets >= 2
    assert [each for each in events if each[0] != "trouble"] == [
        ["snapshot", 0],
        *(["update", seq] for seq in range(1, cancelled["seq"] + 1)),
    ]
