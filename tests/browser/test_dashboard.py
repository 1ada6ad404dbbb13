"""The dashboard in a real browser, as a newcomer uses it."""

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from receiver.http_api.sessions import COOKIE
from tests.browser.conftest import SkippingClock, Start, Visit, Visitor
from tests.service import submit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

UNREACHABLE = "http://127.0.0.1:9/hook"
# One attempt and no more: their number stands still until somebody asks for another.
RELAYS = {"relay_allow_http": True, "relay_allow_nets": "127.0.0.0/8", "relay_schedule": "0"}


async def submit_by_form(page: Page, **fields: str) -> None:
    await page.get_by_role("link", name="New job").click()
    for label, value in fields.items():
        await page.get_by_label(label, exact=True).fill(value)
    await page.get_by_role("button", name="Submit").click()


async def test_sign_in_submit_and_watch_it_finish(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    page = visitor.page
    await visitor.sign_in(await service.key("ada"))
    await visitor.sees("No jobs yet")

    await submit_by_form(page, Prompt="A lighthouse & the <sea>", Label="First try")
    await expect(page.get_by_role("heading", name="First try")).to_be_visible()
    await expect(page.get_by_role("heading", name="Time line")).to_be_visible()
    head = page.locator(".title")
    await expect(head.get_by_text("Completed")).to_be_visible()
    await expect(page.locator("dd", has_text="by poll")).to_be_visible()

    # The result plays: the sandbox's is a picture that moves.
    picture = page.get_by_alt_text("The result")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0

    lines = page.locator(".timeline li")
    await expect(lines.first).to_contain_text("Submitted")
    await expect(lines.filter(has_text="Submission: accepted")).to_have_count(1)
    await expect(lines.filter(has_text="Poll: COMPLETED")).to_have_count(1)
    await expect(lines.last).to_contain_text("Completed")
    for line in await lines.all_inner_texts():
        assert re.search(r"\d\d:\d\d:\d\d\.\d{3}\s+\+\d+(\.\d)? (ms|s)", line), line

    await page.get_by_role("link", name="← Jobs").click()
    row = page.get_by_role("link", name="First try")
    await expect(row).to_contain_text("Completed")
    await expect(row).to_contain_text("known by poll")
    await expect(row.get_by_role("progressbar")).to_have_attribute("value", "100")
    assert visitor.complaints == []


async def test_the_list_moves_by_itself(start: Start, visit: Visit) -> None:
    clock = SkippingClock()
    service = await start(sandbox_render=3600, clock=clock)
    visitor = await visit(service.url)
    key = await service.key("ada")
    await visitor.sign_in(key)
    await submit(service.client(key), metadata={"label": "From elsewhere"})
    row = visitor.page.get_by_role("link", name="From elsewhere")
    await expect(row).to_contain_text("accepted")
    clock.skip(1800)
    await expect(row).to_contain_text("In progress")
    await row.focus()
    clock.skip(1800)
    await expect(row).to_contain_text("Completed")
    await expect(row).to_be_focused()  # what changes does not take the focus away
    announced = visitor.page.get_by_role("status").filter(has_text="From elsewhere: Completed")
    await expect(announced).to_have_count(1)
    assert visitor.complaints == []


async def test_a_row_that_moves_under_the_mouse(start: Start, visit: Visit) -> None:
    """A press that begins before the row changes and ends after it is a click like any other."""
    clock = SkippingClock()
    service = await start(sandbox_render=3600, clock=clock)
    visitor = await visit(service.url)
    page = visitor.page
    key = await service.key("ada")
    await submit(service.client(key), metadata={"label": "Restless"})
    await visitor.sign_in(key)
    row = page.get_by_role("link", name="Restless")
    await expect(row).to_contain_text("accepted")
    await row.hover()
    await page.mouse.down()
    clock.skip(1800)
    await expect(row).to_contain_text("In progress")
    await page.mouse.up()
    await expect(page.get_by_role("heading", name="Restless")).to_be_visible()


async def test_a_job_that_ends_between_the_list_and_the_stream(start: Start, visit: Visit) -> None:
    """The list shows it unfinished, and the stream begins after its end."""
    service = await start(sandbox_render=60)
    key = await service.key("ada")
    client = service.client(key)
    job = await submit(client, metadata={"label": "Quick"})
    visitor = await visit(service.url)
    page = visitor.page
    may_begin = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_begin.wait()
        await route.continue_()

    await page.route("**/v1/events", hold)
    await sign_in_here(visitor, key)
    row = page.get_by_role("link", name="Quick")
    await expect(row.locator(".chip")).to_have_text(re.compile("Pending|In progress"))
    assert (await client.post(job["links"]["cancel"])).status_code == 202
    may_begin.set()
    await expect(row.locator(".chip")).to_contain_text("Cancelled")


async def test_filter_and_search(start: Start, visit: Visit) -> None:
    service = await start(sandbox_render=60)
    visitor = await visit(service.url)
    page = visitor.page
    key = await service.key("ada")
    client = service.client(key)
    ids = [
        (await submit(client, metadata={"label": label}))["request_id"]
        for label in ("Paper boats", "Winter train", "Boat race")
    ]
    await client.post(f"/v1/jobs/{ids[0]}/cancel")
    await visitor.sign_in(key)
    # Always the whole list in one look: a count may be right already for the rows of before.
    titles = page.locator(".row.job strong")
    await expect(titles).to_have_text(["Boat race", "Winter train", "Paper boats"])
    await page.get_by_label("Search").fill("BOAT")
    await expect(titles).to_have_text(["Boat race", "Paper boats"])
    await page.get_by_label("State").select_option("Cancelled")
    await expect(titles).to_have_text(["Paper boats"])
    await page.get_by_label("Search").fill("label=Winter train")
    await visitor.sees("No job fits")
    await page.get_by_label("State").select_option("All")
    await expect(titles).to_have_text(["Winter train"])
    await page.get_by_label("Search").fill(ids[2])
    await expect(titles).to_have_text(["Boat race"])
    assert visitor.complaints == []


async def test_faults_stand_at_their_fields(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    page = visitor.page
    await visitor.sign_in(await service.key())
    await submit_by_form(page, Prompt="x" * 501, Seconds="soon", Webhook="http://10.0.0.1/")
    prompt = page.get_by_label("Prompt", exact=True)
    await expect(prompt).to_have_attribute("aria-invalid", "true")
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_accessible_description("Prompt is too long")
    await expect(page.get_by_label("Seconds")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("Webhook")).to_have_attribute("aria-invalid", "true")
    await prompt.fill("Better")
    await page.get_by_label("Seconds").fill("5")
    await page.get_by_label("Webhook").fill("")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("heading", name="Time line")).to_be_visible()


async def test_a_narrative(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    await visitor.sign_in(await service.key())
    await visitor.open("#/new")
    await visitor.page.get_by_label("Narrative").check()
    await expect(visitor.page.get_by_label("Prompt", exact=True)).to_be_hidden()
    await visitor.page.get_by_role("button", name="Submit").click()
    await expect(visitor.page.get_by_role("heading", name="Narrative")).to_be_visible()
    await visitor.sees("create_narrative")
    assert visitor.complaints == []


async def test_cancel_by_keyboard(start: Start, visit: Visit) -> None:
    service = await start(sandbox_render=60)
    visitor = await visit(service.url)
    page = visitor.page
    await visitor.sign_in(await service.key())
    await submit_by_form(page, Label="Regretted")
    await page.get_by_role("button", name="Cancel").press("Enter")
    dialog = page.get_by_role("dialog", name="Cancel this job?")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="Cancel").press("Enter")
    await dialog.get_by_role("button", name="Cancel the job").press("Enter")
    await expect(page.locator(".title").get_by_text("Cancelled")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    assert visitor.complaints == []


async def with_a_dead_webhook(start: Start, visit: Visit) -> Visitor:
    """Somebody who looks at a job whose end was told to nobody."""
    service = await start(**RELAYS)
    visitor = await visit(service.url)
    await visitor.sign_in(await service.key())
    await submit_by_form(visitor.page, Webhook=UNREACHABLE)
    await expect(visitor.page.locator(".title").get_by_text("Completed")).to_be_visible()
    return visitor


async def test_a_delivery_is_sent_again(start: Start, visit: Visit) -> None:
    visitor = await with_a_dead_webhook(start, visit)
    page = visitor.page
    await page.get_by_role("link", name="Deliveries").click()
    row = page.locator(".row.delivery", has_text="Completed of")
    await expect(row).to_contain_text("Given up")
    await expect(row).to_contain_text("1 attempt, last: connect_failed")
    await row.get_by_role("button", name="Send again").click()
    await expect(row).to_contain_text("2 attempts")
    await row.get_by_role("link").click()
    failed = page.locator(".timeline li", has_text="Webhook: not delivered")
    await expect(failed.last.get_by_role("button", name="Send again")).to_be_visible()
    assert visitor.complaints == []


async def test_a_button_in_use_is_not_pulled_away(start: Start, visit: Visit) -> None:
    """The list of deliveries is read again by itself, and its answer comes too late."""
    visitor = await with_a_dead_webhook(start, visit)
    page = visitor.page
    await visitor.open("#/deliveries")
    row = page.locator(".row.delivery", has_text="Completed of")
    button = row.get_by_role("button", name="Send again")
    await expect(button).to_be_visible()
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await may_answer.wait()
        await route.continue_()

    await page.route("**/v1/deliveries", hold)
    await asked.wait()
    await button.hover()
    await page.mouse.down()
    async with page.expect_response("**/v1/deliveries") as answer:
        may_answer.set()
    await (await answer.value).finished()
    await page.mouse.up()
    await expect(row).to_contain_text("2 attempts")


async def test_an_admin_sees_others_and_the_health(start: Start, visit: Visit) -> None:
    service = await start()
    other = await service.user("bob")
    job = await submit(other, metadata={"label": "Bob's"})
    visitor = await visit(service.url)
    page = visitor.page
    await visitor.sign_in(await service.key("root", admin=True))
    await visitor.sees("No jobs yet")
    await page.get_by_label("User").fill("bob")
    await page.get_by_label("User").press("Enter")
    await page.get_by_role("link", name="Bob's").click()
    await expect(page.get_by_role("heading", name="Bob's")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    await expect(page.locator(".title").get_by_text("Completed")).to_be_visible()

    await page.get_by_role("link", name="Health").click()
    await expect(page.get_by_role("region", name="Jobs finished")).to_contain_text("Completed")
    breaker = page.get_by_role("region", name="Provider and breaker")
    await expect(breaker).to_contain_text("Closed: calls go through")
    known = page.get_by_role("region", name="How ends became known")
    await expect(known).to_contain_text("1 of 1")
    assert visitor.complaints == []

    # A link to somebody else's job opens it, and follows its user from there.
    stranger = await visit(f"{service.url}/#/jobs/{job['request_id']}")
    await sign_in_here(stranger, await service.key("root", admin=True))
    await expect(stranger.page.get_by_role("heading", name="Bob's")).to_be_visible()
    await submit(other, metadata={"label": "Another of Bob's"})
    await stranger.open("#/")
    await expect(stranger.page.get_by_role("link", name="Another of Bob's")).to_be_visible()


async def test_others_see_no_health(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    await visitor.sign_in(await service.key())
    await expect(visitor.page.get_by_role("link", name="Health")).to_be_hidden()
    await visitor.open("#/new")  # from elsewhere, so that the list has to appear
    await visitor.open("#/health")
    await visitor.sees("No jobs yet")


async def sign_in_here(visitor: Visitor, key: str) -> None:
    await visitor.page.goto(visitor.url)
    await visitor.page.get_by_label("API key").fill(key)
    await visitor.page.get_by_role("button", name="Sign in").click()


async def test_a_session_begins_and_ends(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    page = visitor.page
    await sign_in_here(visitor, "rk_wrong")
    await visitor.sees("No such key")
    assert "401" in visitor.complaints.pop()  # the browser's own line for it

    key = await service.key()
    await visitor.sign_in(key)
    assert [cookie["name"] for cookie in await page.context.cookies()] == [COOKIE]
    # No script can find the key, nor the session.
    assert await page.evaluate("document.cookie") == ""
    assert key not in await page.content()
    stored = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert stored == "[{},{}]"

    await page.reload()
    await visitor.sees("No jobs yet")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_focused()
    assert await page.context.cookies() == []

    await visitor.sign_in(key)
    await service.store.keys.revoke(key[:11], 1)
    service.inner.parts.broadcast.close()  # as the next heartbeat would, for a key that is revoked
    await visitor.sees("Your session has ended")


async def test_trying_now_outlives_the_attempt_before_it(start: Start, visit: Visit) -> None:
    """The page's own attempt hangs, somebody tries by hand, and then the first one fails."""
    service = await start()
    visitor = await visit(service.url)
    page = visitor.page
    await visitor.sign_in(await service.key())
    asked, may_fail = asyncio.Event(), asyncio.Event()
    begun, may_begin = asyncio.Event(), asyncio.Event()

    async def hang(route: Route) -> None:
        asked.set()
        await may_fail.wait()
        await route.abort()

    async def hold(route: Route) -> None:
        begun.set()
        await may_begin.wait()
        await route.continue_()

    await page.route("**/session", hang)
    await page.route("**/v1/events*", hold)
    service.inner.parts.broadcast.close()
    service.inner.parts.broadcast.closing = False  # only the streams of until now
    await asked.wait()
    await page.get_by_role("button", name="Try now").click()
    await begun.wait()
    async with page.expect_event("requestfailed"):
        may_fail.set()
    may_begin.set()
    await page.get_by_text("live", exact=True).wait_for()


async def test_the_theme_stays_as_chosen(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url, theme="light")
    page = visitor.page
    await page.goto(service.url)

    async def ground() -> str:
        color = "getComputedStyle(document.body).backgroundColor"
        return str(await page.evaluate(color))

    by_system = await ground()
    await page.get_by_role("button", name="Theme: Auto").click()
    await page.get_by_role("button", name="Theme: Light").click()
    await expect(page.get_by_role("button", name="Theme: Dark")).to_be_visible()
    dark = await ground()
    assert dark != by_system
    await page.reload()
    assert await ground() == dark
