"""What the docs show, in a real browser: /docs, the link to sign in, and the page that follows a
job."""

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Route, expect

from receiver.actions.keys import hash_key
from tests.browser.conftest import Start, Visit
from tests.browser.other_origin import other_origin
from tests.docs.pages import ROOT, blocks
from tests.support.service import submit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
MODULE = re.compile(r"https?://[^/]+/static/")
"""Where the guide's page imports the module from."""


async def test_try_it_sends_what_the_form_says(start: Start, visit: Visit) -> None:
    service = await start(sandbox_render=3600)
    key = await service.key("ada")
    job = (await submit(service.client(key)))["request_id"]
    visitor = await visit(service.url)
    page = visitor.page
    await page.goto(f"{service.url}/docs")

    shown = page.locator("details#showJob")
    await shown.locator("summary").click()
    await shown.get_by_label("job_id (path)").fill(job)
    await shown.get_by_role("button", name="Send").click()
    await expect(shown.locator("form pre")).to_contain_text("api_key_missing")
    await page.get_by_label("API key").fill(key)
    await shown.get_by_role("button", name="Send").click()
    await expect(shown.locator("form pre")).to_contain_text(f'"request_id": "{job}"')

    made = page.locator("details#createJob")
    await made.locator("summary").click()
    await made.get_by_label("Idempotency-Key (header)").fill("one")
    for _ in range(2):
        await made.get_by_role("button", name="Send").click()
        await expect(made.locator("form pre")).to_contain_text("202 Accepted")
    listed = await service.client(key).get("/v1/jobs")
    assert len(listed.json()["jobs"]) == 2

    stream = page.locator("details#followJob")
    await stream.locator("summary").click()
    await stream.get_by_label("job_id (path)").fill(job)
    await stream.get_by_role("button", name="Send").click()
    await expect(stream.locator("form pre")).to_contain_text("event: snapshot")
    await stream.get_by_role("button", name="Stop").click()
    await expect(stream.locator("form pre")).to_contain_text("(stopped)")

    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert [said for said in visitor.console if "400 (Bad Request)" not in said] == []


async def test_a_sign_in_link_works_once(start: Start, visit: Visit) -> None:
    service = await start()
    key_hash = hash_key(await service.key("ada"))
    token = service.inner.context.sessions.allow_once(key_hash, "f00d")
    for expected in ("No jobs yet", "This sign-in link has already been used"):
        visitor = await visit(service.url)
        await visitor.page.goto(f"{service.url}/#/sign-in/{token}")
        await visitor.sees(expected)
        assert "sign-in" not in visitor.page.url


async def test_the_page_of_the_guide_goes_on_after_a_502(start: Start, visit: Visit) -> None:
    """As it stands in docs/integration.md; an EventSource by itself would give up."""
    [html] = blocks((ROOT / "docs" / "integration.md").read_text(), "html")
    async with other_origin() as shop:
        service = await start(sandbox_render=3, sandbox_drop_callbacks=0, cors_origins=shop.url)
        await shop.order(service)
        shop.html = MODULE.sub(f"{service.url}/static/", html)

        async def events(route: Route) -> None:
            if shop.tickets == 1:
                await route.fulfill(status=502, headers={"Access-Control-Allow-Origin": shop.url})
            else:
                await route.continue_()

        visitor = await visit(service.url)
        await visitor.page.route(re.compile(r"/events\?"), events)
        await visitor.page.goto(shop.url)
        await visitor.page.wait_for_function("document.getElementById('bar').value === 100")
    assert shop.tickets == 2, visitor.console
