"""Renews the pictures in docs/images: `python -m tests.browser.screenshots`.

A service with a sandbox plays a whole day in some minutes: its clock is set hour by hour. Its
webhooks go to an endpoint that fails now and then.
"""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, Page, async_playwright
from starlette.responses import PlainTextResponse, Response

from tests.browser.conftest import ARGUMENTS, Visitor, chromium
from tests.http_api.relay_sink import Answer, Message, relay_sink
from tests.support.service import (
    MOVIE,
    RunningService,
    ShiftedClock,
    eventually,
    running_service,
    submit,
)

IMAGES = Path(__file__).parents[2] / "docs" / "images"
HOUR_MS = 3_600_000
PROMPTS = (
    "A lighthouse at dusk, waves breaking on the rocks",
    "Paper boats on a rainy street",
    "A winter train through birch woods",
    "City of glass, slow pan at sunrise",
    "An old clockmaker at work, macro",
    "Desert road, heat haze, a red car",
    "Snow on the harbour of a fishing village",
)
SETTINGS: dict[str, Any] = {
    "sandbox_render": 2.5,
    "sandbox_drop_callbacks": 0.3,
    "sandbox_fail_jobs": 0.06,
    "poll_first": 1.0,
    "poll_min": 0.5,
    "poll_max": 1.0,
    "relay_allow_http": True,
    "relay_allow_nets": "127.0.0.0/8",
    "relay_schedule": "0,0.5,1",
}


def failing_at_times(rng: random.Random) -> Answer:
    """Refuses one webhook in twelve."""

    async def answer(_: Message) -> Response:
        await asyncio.sleep(rng.random() * 0.1)
        if rng.random() < 1 / 12:
            return PlainTextResponse('{"error": "database is locked"}', status_code=500)
        return PlainTextResponse("ok")

    return answer


async def a_day(service: RunningService, clock: ShiftedClock, rng: random.Random, url: str) -> str:
    """Submit some jobs in each hour of a day; returns their user's key."""
    key = await service.key("ada")
    client = service.client(key)
    for hour in range(-23, 1):
        clock.ahead_ms = hour * HOUR_MS
        count = rng.randint(2, 6) if 8 < (hour + 23) % 24 < 22 else rng.randint(0, 3)
        for _ in range(max(count, 3 if hour == 0 else 0)):
            order = {"order": str(rng.randint(4000, 4999))}
            given = MOVIE | {"prompt": rng.choice(PROMPTS)}
            await submit(client, input=given, webhookUrl=url, metadata=order)
        await eventually(lambda: unfinished(client), lambda jobs: not jobs, "the ends of an hour")
        await asyncio.sleep(0.3)
    await submit(client, input=MOVIE | {"prompt": PROMPTS[4]}, webhookUrl="http://127.0.0.1:9/gone")
    await eventually(lambda: unfinished(client), lambda jobs: not jobs, "the last end")
    await asyncio.sleep(3)
    return key


async def unfinished(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    jobs = (await client.get("/v1/jobs?limit=20")).json()["jobs"]
    return [job for job in jobs if not job["done"]]


async def shoot(browser: Browser, service: RunningService, key: str) -> None:
    client = service.client(key)
    jobs = (await client.get("/v1/jobs?status=COMPLETED&limit=20")).json()["jobs"]
    deliveries = (await client.get("/v1/deliveries?limit=200")).json()["deliveries"]
    failed = next(each for each in deliveries if each["state"] == "exhausted")
    views = {
        "jobs": "#/",
        "job": f"#/jobs/{next(job for job in jobs if job['evidence'] == 'callback')['request_id']}",
        "delivery": f"#/deliveries/{failed['id']}",
        "overview": "#/overview",
    }
    for name, view in views.items():
        context = await browser.new_context(viewport={"width": 1200, "height": 860})
        page = await context.new_page()
        await Visitor(page, f"{service.url}/{view}").try_key(key)
        await settle(page)
        if name == "jobs":
            for prompt in PROMPTS[:3]:
                await submit(client, input=MOVIE | {"prompt": prompt})
                await asyncio.sleep(0.6)
        await page.screenshot(path=IMAGES / f"dashboard-{name}.png", full_page=name != "jobs")
        await context.close()


async def settle(page: Page) -> None:
    """Wait until nothing on the page moves, and open one entry of a timeline."""
    await page.get_by_text("live", exact=True).wait_for()
    await page.mouse.move(0, 0)
    await page.wait_for_timeout(900)
    entry = page.locator(".timeline summary")
    if await entry.count() > 1:
        await entry.nth(1).click()
        await page.wait_for_timeout(200)


async def main() -> None:
    rng, clock = random.Random(7), ShiftedClock()
    clock.ahead_ms = -23 * HOUR_MS  # before the first id, since ids never go back
    with tempfile.TemporaryDirectory() as folder:
        async with (
            relay_sink() as sink,
            running_service(Path(folder), clock=clock, **SETTINGS) as service,
            async_playwright() as playwright,
        ):
            sink.answer = failing_at_times(rng)
            key = await a_day(service, clock, rng, sink.url)
            browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            await shoot(browser, service, key)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
