"""The service dies under an open page and comes back: the page recovers by itself."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Route, expect

from tests.archive.file_host import Answer, file_host
from tests.browser.conftest import Start, StartSignedIn, Visit, holding
from tests.crash.processes import Service, caller
from tests.support.service import eventually, submit, wait_for_job

SETTINGS = {
    "SANDBOX_DROP_CALLBACKS": "1",
    "SANDBOX_RENDER": "40",
    "POLL_FIRST": "0.3",
    "POLL_MIN": "0.3",
    "POLL_MAX": "0.6",
    "LOG_LEVEL": "error",
}
"""Jobs that start before the kill stay unfinished for longer than a test waits."""
SOON_QUIET = {"live.js": {"QUIET = 40_000": "QUIET = 200"}}
SOON_HIDDEN = {"live.js": {"HIDDEN = 30_000": "HIDDEN = 100"}}
OFTEN_READ = {"job.js": {"REFRESH = 5000": "REFRESH = 100"}}
"""Scripts of the page that wait for some tenths of a second."""


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service(tmp_path, dict(SETTINGS)) as service:
        await service.start()
        yield service


async def start_again(server: Service) -> None:
    """Start the server again; jobs that start from now on end soon."""
    server.settings["SANDBOX_RENDER"] = "1"
    await server.start()


async def submit_elsewhere(server: Service, key: str, label: str, **until: object) -> None:
    """Create a job outside the page, and wait until it has these values."""
    async with caller(server, key) as client:
        job = await submit(client, metadata={"label": label})
        await wait_for_job(client, job["request_id"], **until)


async def test_a_killed_server_that_comes_back(server: Service, visit: Visit) -> None:
    visitor = await visit(server.url)
    page = visitor.page
    await visitor.sign_in((await server.make_key())["key"])
    await visitor.open("#/new")
    await page.get_by_label("Label").fill("Through the outage")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("heading", name="Through the outage")).to_be_visible()
    await page.get_by_role("link", name="← Jobs").click()
    row = page.get_by_role("link", name="Through the outage")
    await expect(row).to_contain_text("In progress")

    await server.kill()
    banner = page.get_by_role("alert").filter(has_text="The connection is lost")
    await expect(banner).to_contain_text("Next attempt in")
    await expect(row).to_be_visible()
    # A view that is opened during the outage says so, and loads once the service is back.
    await page.get_by_label("Kind").select_option("Movie")
    await visitor.sees("The service does not answer")

    await start_again(server)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(row).to_be_visible()
    # Another job that is followed to its end shows that the stream is a new one.
    await visitor.open("#/new")
    await page.get_by_label("Label").fill("After it")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.locator(".title").get_by_text("Completed")).to_be_visible()

    # The browser itself logs connections that failed.
    assert [line for line in visitor.console if "net::ERR_" not in line] == []


async def test_what_happened_meanwhile_is_there_at_once(server: Service, visit: Visit) -> None:
    """The page loses its connection while the service continues: it resumes from its cursor."""
    key = (await server.make_key())["key"]
    visitor = await visit(server.url)
    page = visitor.page
    await visitor.sign_in(key)
    # Once the page has seen a job arrive, it has a cursor to resume from.
    await visitor.sees("No jobs yet")
    await submit_elsewhere(server, key, "Beforehand")
    await expect(page.get_by_role("link", name="Beforehand")).to_be_visible()
    await page.context.set_offline(True)
    # Chromium's offline mode leaves an open stream alone, so the server has to end it.
    await server.kill()
    await visitor.sees("The connection is lost")
    await start_again(server)
    # It ends before the page is back: no snapshot includes it, so only resuming shows it.
    await submit_elsewhere(server, key, "Meanwhile", status="COMPLETED")
    async with page.expect_request(re.compile(r"/v1/events\?last_event_id=")):
        await page.context.set_offline(False)
    await expect(page.get_by_role("link", name="Meanwhile")).to_be_visible()


async def test_trying_now_outlives_the_attempt_before_it(start_signed_in: StartSignedIn) -> None:
    """The page's own attempt hangs, the visitor presses “Try now”, and then that attempt fails."""
    service, visitor = await start_signed_in()
    page = visitor.page
    asked, may_fail = asyncio.Event(), asyncio.Event()

    async def hang(route: Route) -> None:
        asked.set()
        await may_fail.wait()
        await route.abort()

    await page.route("**/session", hang)
    stream = await holding(page, "**/v1/events*")
    service.inner.context.broadcast.close()
    service.inner.context.broadcast.closing = False  # close only the streams that are open now
    await asked.wait()
    await page.get_by_role("button", name="Try now").click()
    await stream.asked.wait()
    async with page.expect_event("requestfailed"):
        may_fail.set()
    stream.may_go_on.set()
    await page.get_by_text("live", exact=True).wait_for()


async def test_trying_now_replaces_the_countdown(start_signed_in: StartSignedIn) -> None:
    long = {"FIRST_DELAY = 1000": "FIRST_DELAY = 1e6", "_DELAY = 15_000": "_DELAY = 1e6"}
    service, visitor = await start_signed_in(rewritten={"live.js": long})
    await holding(visitor.page, "**/v1/events*")
    service.inner.context.broadcast.close()
    await visitor.sees("Next attempt in")
    await visitor.page.get_by_role("button", name="Try now").click()
    await visitor.sees("Trying…")


async def test_a_response_that_was_cut_off_can_be_read_again(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page
    await submit(await service.user(), metadata={"label": "Whole"})
    await expect(page.get_by_role("link", name="Whole")).to_be_visible()
    # The stream is open, so only the list itself and the button read the list again.
    await visitor.open("#/new")
    path = "/v1/jobs?limit=50"
    async with file_host() as host:
        cut = host.link(path, Answer(b'{"jobs": [], "next_cursor": null}', cuts=[9]))
        await page.route(f"**{path}", lambda route: route.continue_(url=cut))
        await page.get_by_role("link", name="Jobs", exact=True).click()
        await visitor.sees("The service does not answer")
        await page.unroute(f"**{path}")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_text("The service does not answer")).to_have_count(0)
        await expect(page.get_by_role("link", name="Whole")).to_be_visible()


async def test_a_service_that_hangs_behind_an_open_stream_is_noticed(
    start_signed_in: StartSignedIn,
) -> None:
    _, visitor = await start_signed_in(rewritten=SOON_QUIET)
    await visitor.page.route("**/session", lambda route: route.abort())
    await visitor.sees("The connection is lost")
    await visitor.page.unroute("**/session")
    await visitor.page.get_by_text("live", exact=True).wait_for()


async def test_a_quiet_stream_is_opened_anew(start: Start, visit: Visit) -> None:
    """Its connection may be dead although the service answers over another one."""
    service = await start()
    visitor = await visit(service.url, rewritten=SOON_QUIET)
    async with visitor.page.expect_request(re.compile(r"/v1/events\?last_event_id=")):
        await visitor.sign_in(await service.key())
    await visitor.page.get_by_text("live", exact=True).wait_for()
    nobody = {"user": None, "admin": False}
    await visitor.page.route("**/session", lambda route: route.fulfill(json=nobody))
    await expect(visitor.page.get_by_label("API key")).to_be_visible()


async def test_a_tab_that_was_opened_hidden_gives_up_its_connection(
    start: Start, visit: Visit
) -> None:
    service = await start()
    visitor = await visit(service.url, rewritten=SOON_HIDDEN)
    hidden = 'Object.defineProperty(document, "hidden", { value: true })'
    await visitor.page.add_init_script(hidden)
    async with visitor.page.expect_event("requestfailed", lambda it: "/v1/events" in it.url):
        await visitor.try_key(await service.key())


async def test_try_again_keeps_the_focus_while_the_page_tries_again(
    start_signed_in: StartSignedIn,
) -> None:
    often = {"deliveries.js": {"REFRESH = 5000": "REFRESH = 50"}}
    _, visitor = await start_signed_in(rewritten=often)
    page = visitor.page
    tries = asyncio.Queue[str]()

    async def refuse(route: Route) -> None:
        await tries.put(route.request.url)
        request = {"X-Request-ID": f"r{tries.qsize()}"}  # another one each time
        await route.fulfill(status=503, json={"detail": "Unavailable"}, headers=request)

    await page.route("**/v1/deliveries*", refuse)
    await visitor.open("#/deliveries")
    again = page.get_by_role("button", name="Try again")
    await again.focus()
    for _ in range(tries.qsize() + 3):
        await tries.get()
    await expect(again).to_be_focused()


async def test_a_proxy_whose_404_is_not_the_service_s(start_signed_in: StartSignedIn) -> None:
    """Some proxies answer so while the service restarts."""
    rewritten = OFTEN_READ | SOON_QUIET
    service, visitor = await start_signed_in(rewritten=rewritten, sandbox_render=60)
    page = visitor.page
    job = await submit(await service.user())

    async def away(route: Route) -> None:
        await route.fulfill(status=404, body="404 page not found")

    for place in ("**/v1/**", "**/session"):
        await page.route(place, away)
    await visitor.sees("The connection is lost")
    await visitor.open(f"#/jobs/{job['request_id']}")
    await visitor.sees("The service answered 404.")
    for place in ("**/v1/**", "**/session"):
        await page.unroute(place)
    await visitor.sees("Timeline")
    await page.get_by_text("live", exact=True).wait_for()


async def test_a_job_that_is_removed_while_it_is_shown(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in(rewritten=OFTEN_READ, sandbox_render=0.1)
    job = await submit(await service.user())
    await visitor.open(f"#/jobs/{job['request_id']}")
    await visitor.sees("Timeline")
    gone = {"code": "not_found", "detail": "?"}
    await visitor.page.route("**/history", lambda route: route.fulfill(status=404, json=gone))
    await visitor.sees("No such job")
    await expect(visitor.page.get_by_role("heading", name="Timeline")).to_be_hidden()


async def test_a_hidden_tab_gives_up_its_connection_and_misses_nothing(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in(rewritten=SOON_HIDDEN)
    readers = service.inner.context.broadcast.readers
    hide = """hidden => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    await visitor.page.evaluate(hide, True)
    await eventually(lambda: count(readers), lambda open_streams: open_streams == 0)
    await submit(await service.user(), metadata={"label": "Meanwhile"})
    assert await visitor.page.get_by_text("Meanwhile").count() == 0

    await visitor.page.evaluate(hide, False)
    await visitor.sees("Meanwhile")
    assert await count(readers) == 1


async def count(readers: Iterable[object]) -> int:
    return len([*readers])
