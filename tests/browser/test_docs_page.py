"""The docs in a real browser."""

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.browser.conftest import (
    Start,
    StartSignedIn,
    Visit,
    jobs_of,
    lose_the_answer,
)
from tests.support import documented
from tests.support.service import submit

IDS = "[...document.querySelectorAll('SELECTOR')].map(each => each.id)"


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
    assert len(await jobs_of(service)) == 2

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


async def test_sent_again_after_a_lost_answer_it_makes_no_second_job(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page
    await page.goto(f"{service.url}/docs")
    await page.route("**/v1/jobs", lose_the_answer, times=1)
    shown = page.locator("details#createJob")
    await shown.locator("summary").click()
    send = shown.get_by_role("button", name="Send")
    await send.click()
    await expect(shown.locator("form pre")).to_contain_text("No response")
    # A refusal is an answer, but this one is not about the request.
    busy = {"code": "idempotency_key_in_use"}
    await page.route("**/v1/jobs", lambda it: it.fulfill(status=409, json=busy), times=1)
    await send.click()
    await expect(shown.locator("form pre")).to_contain_text("idempotency_key_in_use")
    for jobs in (1, 2):  # after the success, the same body is meant to make another job
        async with page.expect_response("**/v1/jobs"):
            await send.click()
        await expect(shown.locator("form pre")).to_contain_text("202 Accepted")
        await expect(send).to_be_visible()
        assert len(await jobs_of(service)) == jobs


async def test_it_shows_the_whole_document_and_its_links_lead_somewhere(
    start: Start, visit: Visit
) -> None:
    service = await start(**documented.EVERYTHING)
    visitor = await visit(service.url, theme="dark", width=380)
    page = visitor.page
    await page.goto(f"{service.url}/docs#schema-Problem")
    await expect(page.locator("details#schema-Problem table")).to_be_visible()

    document = documented.document()
    methods = [each for item in document["paths"].values() for each in item.values()]
    shown = {each["operationId"] for each in [*methods, document["webhooks"]["job"]["post"]]}
    shown |= {f"schema-{name}" for name in document["components"]["schemas"]}
    assert set(await page.evaluate(IDS.replace("SELECTOR", "details"))) == shown
    places = await page.evaluate(IDS.replace("SELECTOR", "[id]"))
    assert len(places) == len(set(places))
    links = await page.evaluate("[...document.links].map(link => link.getAttribute('href'))")
    assert {link for link in links if link[0] != "#"} == {"./", "openapi.json"}
    assert {link[1:] for link in links if link[0] == "#"} <= set(places)
    await page.get_by_role("link", name="Documents").click()
    await page.locator("details#createJob summary").click()
    await page.locator("details#createJob").get_by_role("link", name="CreateJob").click()
    await expect(page.locator("details#schema-CreateJob table")).to_be_visible()

    await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert await page.evaluate("document.documentElement.scrollWidth") == 380
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert visitor.console == []
