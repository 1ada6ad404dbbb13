"""The docs in a real browser: /docs, and the guide's page that follows a job."""

import asyncio
import os
import re
import shutil

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Route, expect

from tests.browser.conftest import (
    Start,
    StartSignedIn,
    Visit,
    holding,
    jobs_of,
    lose_the_answer,
)
from tests.browser.other_origin import other_origin
from tests.docs.pages import ROOT, blocks
from tests.http_api.scripted_provider import ScriptedProvider, answering
from tests.support import documented
from tests.support.service import submit

MODULE = re.compile(r"https?://[^/]+/static/")
"""The URL from which the guide's page imports the module."""
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


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"seed":17454220438242315174}', '{\n  "seed": 17454220438242315174\n}'),
        (f'"{"x" * 65_536}"', f'{"x" * 65_535}"'),
    ],
)
async def test_of_a_response_exactly_its_end_is_shown(
    start: Start, visit: Visit, body: str, shown: str
) -> None:
    service = await start()
    page = (await visit(service.url)).page
    await page.route(
        "**/livez", lambda route: route.fulfill(body=body, content_type="application/json")
    )
    await page.goto(f"{service.url}/docs")
    shown_at = page.locator("details#livez")
    await shown_at.locator("summary").click()
    button = shown_at.locator("form button")
    await button.click()
    await expect(button).to_have_text("Send")
    text = await shown_at.locator("form pre").text_content()
    assert (text or "").endswith(shown)


async def test_a_double_click_sends_once_and_stops_nothing(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page
    await page.goto(f"{service.url}/docs")
    for operation, path, said in (("createJob", "v1/jobs", "Sending…"), ("livez", "livez", "Stop")):
        held = await holding(page, f"**/{path}")
        shown = page.locator(f"details#{operation}")
        await shown.locator("summary").click()
        button, output = shown.locator("form button"), shown.locator("form pre")
        await button.dblclick()
        await held.asked.wait()
        await expect(button).to_have_text(said)
        if operation == "createJob":
            await button.click()  # it cannot be stopped
        held.may_go_on.set()
        await expect(button).to_have_text("Send")
        await expect(output).to_contain_text("20")
        await expect(output).not_to_contain_text("stopped")
    assert len(await jobs_of(service)) == 1
    assert visitor.console == []


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


async def test_a_refused_request_is_sent_anew(
    start_signed_in: StartSignedIn, provider: ScriptedProvider
) -> None:
    """Under the refused request's key, the service would repeat its refusal."""
    provider.submit = answering(402, {"error": "no credits"})
    service, visitor = await start_signed_in(**provider.settings())
    await visitor.page.goto(f"{service.url}/docs")
    shown = visitor.page.locator("details#createMovie")
    await shown.locator("summary").click()
    button = shown.get_by_role("button", name="Send")
    await button.click()
    await expect(shown.locator("form pre")).to_contain_text("402")
    provider.submit = answering(200, {"request_id": "p1"})
    await button.click()
    await expect(shown.locator("form pre")).to_contain_text("200 OK")


async def test_enter_that_is_held_down_sends_once(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page
    await page.goto(f"{service.url}/docs")
    shown = page.locator("details#createJob")
    await shown.locator("summary").click()
    button = shown.locator("form button")
    await button.focus()
    for _ in range(3):
        await page.keyboard.down("Enter")
        await expect(button).to_have_text("Send")
        await expect(shown.locator("form pre")).to_contain_text("202 Accepted")
    assert len(await jobs_of(service)) == 1


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
    assert {link for link in links if link[0] != "#"} == {"/", "/openapi.json"}
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


async def test_it_says_why_it_is_empty(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    await visitor.page.route(re.compile("/openapi.json"), lambda route: route.fulfill(status=503))
    await visitor.page.goto(f"{service.url}/docs")
    await visitor.sees("The reference cannot be loaded: 503")


async def test_the_curl_examples_are_commands_that_the_service_takes(
    start: Start, visit: Visit
) -> None:
    """None is refused as malformed: only the ids in the examples do not exist."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    service = await start(relay_allow_nets="127.0.0.0/8")
    key = await service.key(admin=True)
    page = (await visit(service.url)).page
    await page.goto(f"{service.url}/docs")
    await page.locator("details#createJob").wait_for()
    commands = await page.locator("pre.curl").all_text_contents()
    paths = documented.document()["paths"]
    assert len(commands) == sum(len(item) for item in paths.values())
    for command in commands:
        local = command.replace("https://example.com", "https://127.0.0.1:9")
        process = await asyncio.create_subprocess_shell(
            f"{local} -o /dev/null -m 5 -w '%{{http_code}}'",
            env=os.environ | {"KEY": key, "no_proxy": "*"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        expected = b"401" if "/webhooks/" in command else (b"200", b"202", b"204", b"404")
        assert out in expected, (command, out)


async def test_the_page_of_the_guide_goes_on_after_a_502(start: Start, visit: Visit) -> None:
    """The page is exactly that of docs/integration.md; an EventSource alone would give up."""
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
