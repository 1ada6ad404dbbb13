"""The service dies under an open page, and comes back: the page recovers by itself."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from receiver.server.serve import listen
from tests.archive.file_host import Answer, file_host
from tests.browser.conftest import Start, Visit
from tests.support.service import eventually, submit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# What is begun before the kill is unfinished for longer than a test waits for anything; what is
# begun after it soon ends.
RENDER_BEFORE, RENDER_AFTER = 40, 1

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "PROVIDER": "sandbox",
    "SANDBOX_DROP_CALLBACKS": "1",
    "POLL_FIRST": "0.3",
    "POLL_MIN": "0.3",
    "POLL_MAX": "0.6",
    "LOG_LEVEL": "error",
}


@dataclass
class Server:
    """`receiver serve` as a process of its own, always on the same port and database."""

    folder: Path
    port: int
    _process: Process | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def command(self, *words: str, **settings: str) -> Process:
        ours = SETTINGS | {"PORT": str(self.port), "DATABASE_URL": "sqlite:///receiver.db"}
        ours |= settings
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "receiver",
            *words,
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                **{f"RECEIVER_{name}": value for name, value in ours.items()},
            },
            stdout=PIPE,
            stderr=DEVNULL,
        )

    async def key(self, user: str) -> str:
        made = await self.command("keys", "create", user, "--json")
        out, _ = await made.communicate()
        return str(json.loads(out)["key"])

    async def submit(self, key: str, label: str, **headers: str) -> dict[str, Any]:
        """Create a job elsewhere than on the page."""
        body = {
            "kind": "create_movie",
            "input": {
                "prompt": "x",
                "image_model": "IMAGEN3",
                "video_model": "LUMA",
                "duration": 1,
            },
            "metadata": {"label": label},
        }
        headers["API-KEY"] = key
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=40) as client:
            answer = await client.post(f"{self.url}/v1/jobs", json=body, headers=headers)
        return dict(answer.json())

    async def start(self, render: int) -> None:
        self._process = await self.command("serve", SANDBOX_RENDER=str(render))
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:

            async def look() -> bool:
                try:
                    return (await client.get(f"{self.url}/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(look, bool, "a service that answers")

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    server = Server(tmp_path, port)
    await server.start(RENDER_BEFORE)
    yield server
    await server.kill()


async def test_a_killed_server_that_comes_back(server: Server, visit: Visit) -> None:
    visitor = await visit(server.url)
    page = visitor.page
    await visitor.sign_in(await server.key("ada"))
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
    # A view that is opened meanwhile says so, and loads once the service is back.
    await page.get_by_label("Kind").select_option("Movie")
    await visitor.sees("The service does not answer")

    await server.start(RENDER_AFTER)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(row).to_be_visible()
    # That another is followed to its end shows that the stream is a new one.
    await visitor.open("#/new")
    await page.get_by_label("Label").fill("After it")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.locator(".title").get_by_text("Completed")).to_be_visible()

    ours = [said for said in visitor.console if "net::ERR_" not in said]
    assert ours == []  # but for the browser's own lines on connections that failed


async def test_what_happened_meanwhile_is_there_at_once(server: Server, visit: Visit) -> None:
    """The page was cut off and the service went on: it resumes where it was."""
    key = await server.key("ada")
    visitor = await visit(server.url)
    page = visitor.page
    await visitor.sign_in(key)
    # Once it has seen a job come, the page has a place in the stream to resume from.
    await visitor.sees("No jobs yet")
    await server.submit(key, "Beforehand")
    await expect(page.get_by_role("link", name="Beforehand")).to_be_visible()
    await page.context.set_offline(True)
    # An open stream outlives what Chromium calls offline; what ends it here is the server.
    await server.kill()
    await visitor.sees("The connection is lost")
    await server.start(RENDER_AFTER)
    # Done before the page is back: no snapshot holds it, so it comes by resuming alone.
    job = await server.submit(key, "Meanwhile", Prefer="wait=30")
    assert job["status"] == "COMPLETED"
    async with page.expect_request(re.compile(r"/v1/events\?last_event_id=")):
        await page.context.set_offline(False)
    await expect(page.get_by_role("link", name="Meanwhile")).to_be_visible()


async def test_a_response_that_was_cut_off_can_be_read_again(start: Start, visit: Visit) -> None:
    service = await start()
    key = await service.key()
    await submit(service.client(key), metadata={"label": "Whole"})
    visitor = await visit(service.url)
    page = visitor.page
    path = "/v1/jobs?limit=50"
    async with file_host() as host:
        # Cut each time: the list is read at its start, and again when the stream begins.
        cut = host.link(path, Answer(b'{"jobs": [], "next_cursor": null}', cuts=[9] * 5))
        await page.route(f"**{path}", lambda route: route.continue_(url=cut))
        await visitor.try_key(key)
        await visitor.sees("live")
        await visitor.sees("The service does not answer")
        await page.unroute(f"**{path}")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("link", name="Whole")).to_be_visible()
