"""The service dies under an open page and comes back: the page recovers by itself."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import StartSignedIn, Visit
from tests.crash.processes import Service, caller
from tests.support.service import submit, wait_for_job

SETTINGS = {
    "SANDBOX_DROP_CALLBACKS": "1",
    "SANDBOX_RENDER": "40",
    "POLL_FIRST": "0.3",
    "POLL_MIN": "0.3",
    "POLL_MAX": "0.6",
    "LOG_LEVEL": "error",
}
"""Jobs that start before the kill stay unfinished for longer than a test waits."""
QUIET_MS = 45_000
"""Milliseconds without an event after which the page asks the service whether it still answers."""


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
        job = await submit(client, metadata={"title": label})
        await wait_for_job(client, job["request_id"], **until)


async def test_a_killed_server_that_comes_back(server: Service, visit: Visit) -> None:
    visitor = await visit(server.url)
    page = visitor.page
    await visitor.sign_in((await server.make_key())["key"])
    await visitor.open("#/new")
    await page.get_by_label("Title").fill("Through the outage")
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
    await page.get_by_label("Kind").select_option("create_movie")
    await visitor.sees("The service does not answer")

    await start_again(server)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(row).to_be_visible()
    # Another job that is followed to its end shows that the stream is a new one.
    await visitor.open("#/new")
    await page.get_by_label("Title").fill("After it")
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


async def test_a_service_that_hangs_behind_an_open_stream_is_noticed(
    start_signed_in: StartSignedIn,
) -> None:
    _, visitor = await start_signed_in()
    await visitor.page.clock.install()
    await visitor.page.reload()
    await visitor.page.get_by_text("live", exact=True).wait_for()
    await visitor.page.route("**/session", lambda route: route.abort())
    await visitor.page.clock.fast_forward(QUIET_MS)
    await visitor.sees("The connection is lost")
    await visitor.page.unroute("**/session")
    await visitor.page.get_by_text("live", exact=True).wait_for()
