"""Deliveries on the page: examined, filtered, and sent again."""

import re

from playwright.async_api import expect

from tests.browser.conftest import StartSignedIn
from tests.http_api.relay_sink import always, relay_sink
from tests.providers.faulty_server import faulty_server, send_raw
from tests.support.service import submit, wait_for_job

# A single attempt: the number of attempts changes only when the test retries.
RELAYS = {"relay_allow_http": True, "relay_allow_nets": "127.0.0.0/8", "relay_schedule": "0"}
REFUSAL = b"""HTTP/1.1 500 Oops\r
Content-Length: 24\r
\r
the database is <locked>"""


async def test_a_delivery_is_sent_again_once_it_is_confirmed(
    start_signed_in: StartSignedIn,
) -> None:
    _, visitor = await start_signed_in(**RELAYS, sandbox_render=0.3)
    page = visitor.page
    await visitor.submit_by_form(Title="Undelivered", Webhook="http://127.0.0.1:9/hook")
    await expect(page.locator(".title").get_by_text("Completed")).to_be_visible()
    await page.get_by_role("link", name="Deliveries").click()
    row = page.locator(".row.delivery", has_text="Undelivered")
    await expect(row).to_contain_text("Given up")
    for text in ("job.completed", "127.0.0.1:9", "connect_failed attempt 1 of 1"):
        await expect(row).to_contain_text(text)
    await row.get_by_role("button", name="Send again").click()
    dialog = page.get_by_role("dialog", name="Send this webhook again?")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    await expect(row).to_contain_text("attempt 1 of 1")
    await row.get_by_role("button", name="Send again").click()
    await dialog.get_by_role("button", name="Send it again").click()
    await expect(row).to_contain_text("attempt 2")

    # Retry all that match a filter, which is in the URL.
    await page.get_by_label("State").select_option("Given up")
    await expect(page).to_have_url(f"{visitor.url}/#/deliveries?state=exhausted")
    await page.get_by_role("button", name="Send all of these again").click()
    await expect(page.get_by_role("dialog")).to_contain_text("sends one delivery in the state")
    await page.get_by_role("button", name="Send all again").click()
    await visitor.sees("1 queued.")
    await expect(row).to_contain_text("attempt 3")

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
        await page.locator(".row.delivery", has_text="job.completed").get_by_role("link").click()
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


async def test_a_message_to_a_host_that_fails_says_so_and_when_it_is_sent(
    start_signed_in: StartSignedIn,
) -> None:
    schedule = RELAYS | {"relay_schedule": "0,3600"}
    service, visitor = await start_signed_in(**schedule, sandbox_render=0.1)
    client = await service.user()
    for _ in range(6):  # five failures pause the host
        url = "http://127.0.0.1:9/"
        job = await submit(client, webhookUrl=url, webhookEvents=["COMPLETED"])
        await wait_for_job(client, job["request_id"], status="COMPLETED")
    await visitor.open("#/deliveries")
    row = visitor.page.locator(".row.delivery", has_text="no attempt yet")
    says = re.compile(r"in \d+ s, since the host fails")
    await expect(row).to_contain_text(says)
    await row.get_by_role("link").click()
    await expect(visitor.page.locator("dd", has_text="the host fails")).to_have_text(says)
    await expect(visitor.page.get_by_role("region", name="Attempts")).to_contain_text("None yet.")
    assert visitor.console == []


async def test_what_waits_for_a_repaired_endpoint_is_sent_from_its_test(
    start_signed_in: StartSignedIn,
) -> None:
    schedule = RELAYS | {"relay_schedule": "0,3600"}
    service, visitor = await start_signed_in(**schedule, sandbox_render=0.3)
    page, client = visitor.page, await service.user()
    async with relay_sink() as sink:
        sink.answer = always(500)
        await submit(client, webhookUrl=sink.url, webhookEvents=["COMPLETED"])
        await visitor.open("#/deliveries?state=failing")
        row = page.locator(".row.delivery")
        await expect(row).to_contain_text("Failing")
        await expect(row).to_contain_text("HTTP 500 attempt 1 of 2")
        sink.answer = None
        await page.get_by_role("button", name="Send a test").click()
        dialog = page.get_by_role("dialog", name="Send a test message")
        await dialog.get_by_label("URL").fill(sink.url)
        await dialog.get_by_role("button", name="Send it").click()
        await expect(dialog).to_contain_text(f"One message waits for {sink.url.split('/')[2]}.")
        await dialog.get_by_role("button", name="Send them now").click()
        await expect(dialog).to_contain_text("1 queued.")
        await dialog.get_by_role("button", name="Close").click()
        await expect(row).to_have_count(0)
    assert visitor.console == []
