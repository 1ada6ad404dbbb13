"""The module that follows a stream from a page of another origin, in a real Chromium."""

from playwright.async_api import Route

from tests.browser.conftest import Start, Visit
from tests.browser.other_origin import FOLLOW, other_origin, wait_until_seen
from tests.support.service import ShiftedClock


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

        refusals.append(401)
        service.inner.context.broadcast.close()  # like a restart
        service.inner.context.broadcast.closing = False
        await wait_until_seen(page, "trouble", 5)
        clock.skip(1800)
        events = await wait_until_seen(page, "done")

    assert events[:3] == [["trouble", "the stream was refused"]] * 3
    assert origin.tickets == 5
    kind, first = events[3]
    assert kind == "snapshot"
    *updates, done = [event for event in events[4:] if event[0] != "trouble"]
    assert updates == [["update", seq] for seq in range(first + 1, first + 1 + len(updates))]
    assert done == ["done", "COMPLETED"]
    *before, resumed = cursors  # a reconnection with the same ticket has its cursor in a header
    assert before == [""] * 5
    assert resumed, "a new ticket continues after the last event"
