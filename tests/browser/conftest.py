"""A real Chromium, and visitors who use the dashboard with it."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.conftest import quiet_log
from tests.http_api.scripted_provider import ScriptedProvider, scripted_provider
from tests.support.service import RunningService, running_service

__all__ = ["browser", "job", "provider", "quiet_log", "start", "start_signed_in", "visit"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 20_000
expect.set_options(timeout=TIMEOUT_MS)

# The page's own listeners run first: when this one runs, the view is drawn and has the focus.
GO = """view => new Promise(arrived => {
    if (location.hash === view) arrived();
    addEventListener("hashchange", () => arrived(), { once: true });
    location.hash = view;
})"""


@dataclass
class Visitor:
    """A browser window; `console` has the errors and warnings of the browser's console."""

    page: Page
    url: str
    console: list[str] = field(default_factory=list)

    async def sign_in(self, key: str) -> None:
        await self.try_key(key)
        await self.page.get_by_role("heading", name="Jobs").wait_for()
        await self.page.get_by_text("live", exact=True).wait_for()

    async def try_key(self, key: str) -> None:
        """Start to sign in with a key, without waiting for the result."""
        await self.page.goto(self.url)
        await sign_in_here(self.page, key)

    async def submit_by_form(self, **fields: str) -> None:
        """Fill in the form by its labels and its list, and submit it."""
        await self.page.get_by_role("link", name="New job").click()
        for label, value in fields.items():
            await self.page.get_by_label(label, exact=True).fill(value)
        await self.page.get_by_role("button", name="Submit").click()

    async def open(self, view: str) -> None:
        """Go to a view, such as `#/new`, without reloading the page, and wait for it."""
        await self.page.evaluate(GO, view)

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).filter(visible=True).first.wait_for()


async def sign_in_here(page: Page, key: str) -> None:
    """Sign in without leaving the page's view."""
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()


async def jobs_of(service: RunningService, user: str = "ada") -> list[dict[str, Any]]:
    """The jobs of this user, newest first."""
    answer = await (await service.user(user)).get("/v1/jobs")
    return list(answer.json()["jobs"])


@dataclass
class Held:
    """Requests of a page that wait until `may_go_on` is set."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first request."""
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self, route: Route) -> None:
        self.asked.set()
        await self.may_go_on.wait()
        await route.continue_()


async def holding(page: Page, url: str | re.Pattern[str]) -> Held:
    """Hold the page's requests for this URL from now on."""
    held = Held()
    await page.route(url, held.hold)
    return held


async def lose_the_answer(route: Route) -> None:
    """The service answers, and the page does not learn of it."""
    await route.fetch()
    await route.abort()


Visit = Callable[..., Awaitable[Visitor]]
Start = Callable[..., Awaitable[RunningService]]
StartSignedIn = Callable[..., Awaitable[tuple[RunningService, Visitor]]]


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail("no Chromium is installed (apt-get install chromium, or set CHROMIUM)")
    return found


ONE_LOOP = pytest.mark.asyncio(loop_scope="session")
TIME_LIMIT = pytest.mark.timeout(180)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder with `browser`. The browser lives in the session's event loop,
    so they run there."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(ONE_LOOP, append=False)
            item.add_marker(TIME_LIMIT)
            item.add_marker(pytest.mark.browser)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; each window has a context and cookies of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """Opens windows without cookies, which close with the test. A given `user` is signed in."""
    contexts: list[BrowserContext] = []

    async def visit(
        url: str,
        user: httpx.AsyncClient | None = None,
        *,
        theme: str = "light",
        width: int = 1200,
    ) -> Visitor:
        context = await browser.new_context(
            color_scheme="dark" if theme == "dark" else "light",
            viewport={"width": width, "height": 800},
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        visitor = Visitor(await context.new_page(), url)

        visitor.page.on(
            "console",
            lambda message: (
                visitor.console.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        visitor.page.on("pageerror", lambda error: visitor.console.append(str(error)))
        if user is not None:
            await visitor.sign_in(user.headers["API-KEY"])
        return visitor

    yield visit
    for context in contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a service. By default every callback is lost, and polls are frequent."""
    async with AsyncExitStack() as stack:

        async def start(**given: object) -> RunningService:
            polls: dict[str, Any] = {"poll_first": 0.3, "poll_min": 0.3, "poll_max": 0.6}
            settings = {"sandbox_render": 1.5, "sandbox_drop_callbacks": 1} | polls | given
            return await stack.enter_async_context(running_service(tmp_path, **settings))

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def provider(start: Start) -> AsyncIterator[ScriptedProvider]:
    """A provider that closes before the services do."""
    async with scripted_provider() as provider:
        yield provider


@pytest_asyncio.fixture(loop_scope="session")
async def job(start: Start, provider: ScriptedProvider) -> AcceptedJob:
    """A job that stays accepted until the test's callbacks, which count at once, move it."""
    service = await start(**provider.settings(), confirm_callbacks=False)
    return await create_accepted_job(service, provider)


@pytest.fixture
def start_signed_in(start: Start, visit: Visit) -> StartSignedIn:
    """Starts a service, and signs a user in at its page."""

    async def start_signed_in(
        *, admin: bool = False, **given: object
    ) -> tuple[RunningService, Visitor]:
        service = await start(**given)
        user = await service.user("root" if admin else "ada", admin=admin)
        return service, await visit(service.url, user)

    return start_signed_in
