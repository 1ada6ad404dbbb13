"""Deliveries on the page: examined, filtered, and sent again."""

from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.async_api import Route, expect

from tests.browser.conftest import Start, StartSignedIn, Visit, Visitor, holding
from tests.http_api.scripted_provider import ScriptedProvider, call_back
from tests.providers.faulty_server import Connection, faulty_server, send_raw
from tests.support.service import eventually, submit, wait_for_job

# A single attempt: the number of attempts changes only when the test retries.
RELAYS = {"relay_allow_http": True, "relay_allow_nets": "127.0.0.0/8", "relay_schedule": "0"}
UNREACHABLE = "http://127.0.0.1:9/hook"
REFUSAL = b"""HTTP/1.1 500 Oops\r
Content-Length: 24\r
\r
the database is <locked>"""


async def visitor_of_a_job_with_a_dead_webhook(start_signed_in: StartSignedIn) -> Visitor:
    """A visitor at a job whose last webhook was not delivered."""
    _, visitor = await start_signed_in(**RELAYS, sandbox_render=0.3)
    await visitor.submit_by_form(Label="Undelivered", Webhook=UNREACHABLE)
    await expect(visitor.page.locator(".title").get_by_text("Completed")).to_be_visible()
    return visitor


async def refusals(client: httpx.AsyncClient, count: int) -> None:
    """Wait until this many deliveries are given up."""
    path = "/v1/deliveries?state=exhausted&limit=200"
    await eventually(
        lambda: client.get(path), lambda page: len(page.json()["deliveries"]) == count, "refusals"
    )


async def test_a_delivery_is_sent_again_once_it_is_confirmed(
    start_signed_in: StartSignedIn,
) -> None:
    visitor = await visitor_of_a_job_with_a_dead_webhook(start_signed_in)
    page = visitor.page
    await page.get_by_role("link", name="Deliveries").click()
    row = page.locator(".row.delivery", has_text="Completed · Undelivered")
    await expect(row).to_contain_text("Given up")
    await expect(row).to_contain_text("1 attempt, last: connect_failed")
    await row.get_by_role("button", name="Send again").click()
    dialog = page.get_by_role("dialog", name="Send this webhook again?")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    await expect(row).to_contain_text("1 attempt,")
    await row.get_by_role("button", name="Send again").click()
    await dialog.get_by_role("button", name="Send it again").click()
    await expect(row).to_contain_text("2 attempts")

    # Retry all that match a filter, which is in the URL.
    await page.get_by_label("State").select_option("Given up")
    await expect(page).to_have_url(f"{visitor.url}/#/deliveries?state=exhausted")
    await page.get_by_role("button", name="Send all of these again").click()
    await expect(page.get_by_role("dialog")).to_contain_text("sends one delivery in the state")
    await page.get_by_role("button", name="Send all again").click()
    await visitor.sees("1 queued.")
    await expect(row).to_contain_text("3 attempts")

    await row.get_by_role("link").click()
    await expect(page.get_by_role("heading", name="job.completed")).to_be_visible()
    await page.get_by_role("link", name="job_").click()
    failed = page.locator(".timeline li", has_text="Webhook: not delivered")
    await expect(failed.last.get_by_role("button", name="Send again")).to_be_visible()
    assert visitor.console == []


async def test_a_delivery_can_be_examined(start_signed_in: StartSignedIn) -> None:
    async with faulty_server(send_raw(REFUSAL)) as hook:
        host = f"127.0.0.1:{hook.port}"
        url = f"http://{host}/in"
        service, visitor = await start_signed_in(**RELAYS)
        page, client = visitor.page, await service.user()
        id_ = (await submit(client, webhookUrl=url))["request_id"]
        await wait_for_job(client, id_, status="COMPLETED")
        await visitor.open(f"#/deliveries?host={host}&request_id={id_}")
        await page.locator(".row.delivery", has_text="Completed").get_by_role("link").click()
        attempt = page.get_by_role("region", name="Attempts").get_by_role("listitem")
        await expect(attempt).to_contain_text("HTTP 500")
        await expect(attempt).to_contain_text("the database is <locked>")
        await expect(attempt).to_contain_text("Your server failed; its log says why.")
        message = page.get_by_role("region", name="Message")
        await expect(message).to_contain_text('"type": "job.completed"')
        await expect(message).to_contain_text("webhook-timestamp")
        await expect(page.locator("dd", has_text=url)).to_be_visible()
        assert visitor.console == []

        await visitor.open("#/deliveries")
        await page.get_by_role("button", name="Send a test").click()
        dialog = page.get_by_role("dialog", name="Send a test message")
        await dialog.get_by_label("URL").fill(url)
        await dialog.get_by_role("button", name="Send it").click()
        await expect(dialog.get_by_role("status")).to_contain_text("HTTP 500")
        await expect(dialog.get_by_role("status")).to_contain_text("Your server failed")
        await dialog.get_by_role("button", name="Close").click()

        # A receiver logs the webhook-id.
        (message, *_) = (await client.get("/v1/deliveries")).json()["deliveries"]
        await page.get_by_label("Job").fill(message["id"])
        await page.get_by_role("link", name="Open that delivery").click()
        await expect(page.locator("code", has_text=message["id"]).first).to_be_visible()

        # The endpoint is in the overview, with a link to its deliveries.
        await visitor.open("#/overview")
        endpoint = page.get_by_role("row").filter(has_text=host)
        await expect(endpoint).to_contain_text("Failing")
        await expect(endpoint).to_contain_text("0 % of 2")
        await endpoint.get_by_role("link").first.click()
        await expect(page.locator(".row.delivery")).to_have_count(2)


async def test_a_button_in_use_is_not_pulled_away(start_signed_in: StartSignedIn) -> None:
    """The list of deliveries is reloaded in the background, and its answer comes too late."""
    visitor = await visitor_of_a_job_with_a_dead_webhook(start_signed_in)
    page = visitor.page
    await page.clock.install()
    await visitor.open("#/deliveries")
    row = page.locator(".row.delivery", has_text="Completed · Undelivered")
    button = row.get_by_role("button", name="Send again")
    await expect(button).to_be_visible()
    reading = await holding(page, "**/v1/deliveries?*")
    await page.clock.run_for(5000)
    await reading.asked.wait()
    await button.hover()
    await page.mouse.down()
    async with page.expect_response("**/v1/deliveries?*") as answer:
        reading.may_go_on.set()
    await (await answer.value).finished()
    await page.mouse.up()
    await expect(page.get_by_role("dialog", name="Send this webhook again?")).to_be_visible()


async def test_a_row_that_leaves_gives_its_focus_to_the_one_in_its_place(
    start: Start, visit: Visit
) -> None:
    answers = [REFUSAL]

    async def answer(connection: Connection) -> None:
        await send_raw(answers[-1])(connection)

    async with faulty_server(answer) as hook:
        service = await start(**RELAYS, sandbox_render=0.3)
        client = await service.user()
        for _ in range(3):
            await submit(client, webhookUrl=f"http://127.0.0.1:{hook.port}/")
        await refusals(client, 3)
        visitor = await visit(service.url, client)
        await visitor.open("#/deliveries?state=exhausted")
        page, rows = visitor.page, visitor.page.locator(".row.delivery")
        await expect(rows).to_have_count(3)
        answers.append(b"HTTP/1.1 204 No Content\r\n\r\n")
        buttons = rows.get_by_role("button")
        await buttons.nth(1).focus()
        for left, heir in ((2, buttons.nth(1)), (1, buttons), (0, page.locator("main"))):
            await page.keyboard.press("Enter")
            await page.get_by_role("dialog").wait_for()
            await page.keyboard.press("Enter")
            await expect(rows).to_have_count(left)
            await expect(heir).to_be_focused()


async def test_sending_again_keeps_the_focus_in_the_view(start_signed_in: StartSignedIn) -> None:
    visitor = await visitor_of_a_job_with_a_dead_webhook(start_signed_in)
    page = visitor.page
    again = page.get_by_role("button", name="Send again")

    async def send_again() -> None:
        await again.press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Send it again").press("Enter")

    await send_again()
    await expect(page.locator(".timeline li", has_text="Webhook: not")).to_have_count(2)
    await expect(again).to_be_focused()
    await page.get_by_role("link", name="Open the delivery").click()
    await visitor.sees("Attempt 2")
    await send_again()
    await visitor.sees("Attempt 3")
    await expect(page.locator("main:focus, main :focus")).to_have_count(1)

    await page.get_by_role("link", name="← Deliveries").click()
    await page.locator(".row.delivery").wait_for()
    answer = await page.request.get(f"{visitor.url}/v1/deliveries")
    [delivery] = (await answer.json())["deliveries"]
    waiting = {"deliveries": [delivery | {"state": "pending"}], "next_cursor": None}
    await page.route("**/v1/deliveries?*", lambda route: route.fulfill(json=waiting))
    await send_again()
    await expect(page.locator(".row.delivery").get_by_role("link")).to_be_focused()


async def test_a_row_far_down_is_sent_again_in_its_place(
    start: Start, visit: Visit, provider: ScriptedProvider
) -> None:
    async with faulty_server(send_raw(REFUSAL)) as hook:
        service = await start(**provider.settings(), **RELAYS, confirm_callbacks=False)
        client = await service.user()
        for number in range(51):
            label = {"label": f"Number {number}"}
            await submit(client, metadata=label, webhookUrl=f"http://127.0.0.1:{hook.port}/")
            job = await provider.submitted(number + 1)
            await call_back(job.webhook_url, {"status": "FAILED"})
        await refusals(client, 51)
        visitor = await visit(service.url, client)
        page = visitor.page
        await visitor.open("#/deliveries")
        rows = page.locator(".row.delivery")
        await expect(rows).to_have_count(50)
        await page.get_by_role("button", name="Show older").press("Enter")
        await expect(rows).to_have_count(51)
        await expect(rows.nth(49).get_by_role("link")).to_be_focused()  # the other button is gone
        await rows.last.get_by_role("button", name="Send again").click()
        await page.get_by_role("button", name="Send it again").click()
        await expect(rows.last).to_contain_text("2 attempts")
        await expect(rows).to_have_count(51)
        assert visitor.console == []


async def test_short_pages_are_walked_some_at_a_time(start_signed_in: StartSignedIn) -> None:
    """The service examines a limited number of deliveries for a page, which may then be empty."""
    once = {"deliveries.js": {"REFRESH = 5000": "REFRESH = 1e6"}}
    _, visitor = await start_signed_in(rewritten=once)
    page = visitor.page
    cursors: list[str | None] = []

    async def look_further(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        cursors.append(asked.get("cursor", [None])[0])
        # Without a bound on the walk, the page would stop here.
        goes_on = len(cursors) < 20
        await route.fulfill(
            json={"deliveries": [], "next_cursor": str(len(cursors)) if goes_on else None}
        )

    await page.route("**/v1/deliveries?*", look_further)
    await visitor.open("#/deliveries?state=exhausted&host=hooks.example.com")
    await visitor.sees("searches further back")
    assert cursors == [None, "1", "2", "3", "4"]
    await page.get_by_role("button", name="Show older").click()
    await expect(page.get_by_role("button", name="Show older")).to_be_enabled()
    assert cursors[5:] == [None, *map(str, range(6, 15))]


async def test_back_reads_as_many_deliveries_as_were_shown(start: Start, visit: Visit) -> None:
    async with faulty_server(send_raw(REFUSAL)) as hook:
        service = await start(**RELAYS, sandbox_render=0.3)
        client = await service.user()
        for _ in range(3):
            await submit(client, webhookUrl=f"http://127.0.0.1:{hook.port}/")
        await refusals(client, 3)
        visitor = await visit(service.url)
        small = {"PAGE = 50": "PAGE = 1", "_PAGE = 200": "_PAGE = 1", "_PAGES = 5": "_PAGES = 1"}
        await visitor.rewrite("deliveries.js", small)
        await visitor.sign_in(client.headers["API-KEY"])
        await visitor.open("#/deliveries")
        page, rows = visitor.page, visitor.page.locator(".row.delivery")
        for shown in (1, 2):
            await expect(rows).to_have_count(shown)
            await page.get_by_role("button", name="Show older").click()
        await expect(rows).to_have_count(3)
        await rows.last.get_by_role("link").click()
        await visitor.sees("Attempt 1")
        await page.go_back()
        await expect(rows).to_have_count(3)
