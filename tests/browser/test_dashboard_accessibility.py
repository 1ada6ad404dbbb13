"""Axe finds nothing in both themes and at a phone's width, and no view is wider than the phone."""

import re
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from store.records.costs import Budget
from tests.browser.conftest import Start, Visit, Visitor
from tests.support.service import ShiftedClock, submit, wait_for_job

PRICES = """currency = "USD"
[[price]]
provider = "sandbox"
kind = "*"
fixed = "0.4"
"""
TABLES = ["sandbox", "Day", "create_movie", "month", "127.0.0.1:9"]
"""What the tables of the overview show."""

# The themes differ only in their colours.
RUNS: dict[Literal["light", "dark"], dict[str, list[str]]] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}


async def check(visitor: Visitor, where: str) -> None:
    for theme, options in RUNS.items():
        await visitor.page.emulate_media(color_scheme=theme)
        results = await Axe().run(visitor.page, options=options)
        assert results.violations_count == 0, f"{where}, {theme}:\n{results.generate_report()}"
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = await visitor.page.evaluate(widths)
    assert needed <= there, f"{where} is wider than the window"


@pytest.mark.parametrize("width", [1200, 360])
async def test_every_view(start: Start, visit: Visit, tmp_path: Path, width: int) -> None:
    clock = ShiftedClock()
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    settings = {
        "relay_allow_http": True,
        "relay_allow_nets": "127.0.0.0/8",
        "relay_schedule": "0,0.2",
        "jobs_in_flight": "sandbox=1",
        "prices": str(prices),
    }
    service = await start(sandbox_render=3600, clock=clock, **settings)
    key = await service.key("ada", admin=True)
    visitor = await visit(service.url, width=width)
    page = visitor.page
    await page.goto(service.url)
    await expect(page.get_by_label("API key")).to_be_visible()
    await check(visitor, "signing in")
    await visitor.sign_in(key)
    await visitor.sees("No jobs yet")
    await check(visitor, "no jobs")

    client = service.client(key)
    title = {"title": "A title that is longer than a phone is wide, as some titles are"}
    job = await submit(client, metadata=title, webhookUrl="http://127.0.0.1:9/")
    await wait_for_job(client, job["request_id"], phase="accepted")
    other = await submit(client)
    await visitor.open(f"#/jobs/{other['request_id']}")
    await visitor.sees("for a place at the provider")
    await check(visitor, "a waiting job")
    await visitor.open("#/")
    await client.post(f"/v1/jobs/{other['request_id']}/cancel")
    clock.skip(1800)
    await visitor.sees("In progress")
    await check(visitor, "the list, live")
    clock.skip(1800)
    await wait_for_job(client, job["request_id"], status="COMPLETED")
    await visitor.sees("Completed")
    await check(visitor, "the list")

    await visitor.open(f"#/jobs/{job['request_id']}")
    await expect(page.locator(".timeline .end")).to_be_visible()
    await page.locator(".timeline summary").first.click()
    await page.get_by_text("Input", exact=True).click()
    await check(visitor, "a job")
    await page.get_by_role("button", name="Submit again").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await check(visitor, "a question")
    await page.keyboard.press("Escape")
    await visitor.open(f"#/jobs/{other['request_id']}")
    await expect(page.locator(".notice")).to_be_visible()
    await check(visitor, "a cancelled job")
    await visitor.open("#/jobs/job_none")
    await visitor.sees("No such job")
    await check(visitor, "no job")

    await visitor.open("#/new")
    await page.get_by_label("Prompt", exact=True).fill("")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.locator("[aria-invalid]")).to_have_count(1)
    await check(visitor, "the form with a fault")
    await visitor.open("#/deliveries")
    await visitor.sees("Given up")
    await check(visitor, "deliveries")
    await page.locator(".row.delivery").get_by_role("link").first.click()
    await visitor.sees("Headers of the last attempt")
    await check(visitor, "a delivery")
    await service.store.ledger.set_budget("ada", Budget.read("0.5/month"), service.clock.now())
    await visitor.open("#/overview")
    await page.get_by_text("The chart as a table").click()
    tables = page.get_by_role("region", name=re.compile(", table"))
    await expect(tables).to_contain_text(TABLES)
    await check(visitor, "the overview")
    await visitor.open("#/keys")
    await page.get_by_label("User", exact=True).fill("carol")
    await page.get_by_role("button", name="Create a key").click()
    await expect(page.get_by_role("row")).to_have_count(3)
    heights = "buttons => buttons.map((button) => button.clientHeight)"
    assert max(await page.get_by_role("button", name="Revoke").evaluate_all(heights)) < 48
    await check(visitor, "keys")

    await visitor.open("#/?user=ada")  # the view follows a stream, which ends
    await visitor.sees("live")
    service.inner.begin_stop()
    await visitor.sees("The connection is lost")
    await check(visitor, "disconnected")


async def test_by_keyboard_alone(start: Start, visit: Visit) -> None:
    service = await start()
    key = await service.key()
    await submit(service.client(key), metadata={"title": "Reached"})
    visitor = await visit(service.url)
    page = visitor.page
    await page.goto(service.url)
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.type(key)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="Reached")).to_be_visible()
    await expect(page.locator("main")).to_be_focused()
    await page.reload()
    await expect(page.get_by_role("link", name="Reached")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await page.reload()  # the URL is still that of the view
    await expect(page.get_by_role("link", name="Reached")).to_be_visible()
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.get_by_role("link", name="Reached").evaluate(
            "link => link === document.activeElement"
        ):
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Reached")).to_be_visible()
    await expect(page.locator("main")).to_be_focused()
