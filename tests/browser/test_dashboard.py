"""The dashboard in a real browser, as a newcomer uses it."""

import re

from playwright.async_api import expect

from tests.browser.conftest import Start, StartSignedIn, Visit, holding
from tests.support.service import MOVIE, ShiftedClock, submit


async def test_sign_in_submit_and_watch_it_finish(start_signed_in: StartSignedIn) -> None:
    _, visitor = await start_signed_in()
    page = visitor.page
    await visitor.sees("No jobs yet")

    await visitor.submit_by_form(Prompt="A lighthouse & the <sea>", Title="First try")
    await expect(page.get_by_role("heading", name="First try")).to_be_visible()
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    head = page.locator(".title")
    await expect(head.get_by_text("Completed")).to_be_visible()
    await expect(page.locator("dd", has_text="by poll")).to_be_visible()

    # The result plays.
    video = page.locator("video.result")
    await expect(video).to_be_visible()
    assert await video.evaluate("video => video.play().then(() => video.videoWidth)") > 0

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
    await expect(row).to_contain_text("by poll")
    took = row.locator(".took")
    await expect(took).to_contain_text(re.compile(r"took \d"))
    await expect(took.locator("*")).to_have_count(0)  # all of it in one size
    await expect(row.get_by_role("progressbar")).to_have_count(0)
    assert visitor.console == []


async def test_the_list_is_live(start_signed_in: StartSignedIn) -> None:
    clock = ShiftedClock()
    service, visitor = await start_signed_in(sandbox_render=3600, clock=clock)
    client = await service.user()
    await submit(client, metadata={"title": "From elsewhere"})
    row = visitor.page.get_by_role("link", name="From elsewhere")
    await expect(row).to_contain_text("accepted")
    clock.skip(1800)
    await expect(row).to_contain_text("In progress")
    await row.focus()
    clock.skip(1800)
    await expect(row).to_contain_text("Completed")
    await expect(row).to_be_focused()  # a change does not take the focus away
    announced = visitor.page.get_by_role("status").filter(has_text="From elsewhere: Completed")
    await expect(announced).to_have_count(1)

    job = await submit(client, metadata={"title": "Filtered out"})
    await visitor.sees("Filtered out")
    await visitor.open("#/?q=title%3DFrom+elsewhere")
    await client.post(job["links"]["cancel"])
    known = "id => import('/static/live.js').then(({ jobs }) => jobs.get(id).done)"
    await visitor.page.wait_for_function(known, arg=job["request_id"])
    await expect(announced).to_have_count(1)  # still
    assert visitor.console == []


async def test_a_job_that_ends_between_the_list_and_the_stream(start: Start, visit: Visit) -> None:
    """The list shows it unfinished, but the stream starts after its end."""
    service = await start(sandbox_render=60)
    key = await service.key("ada")
    client = service.client(key)
    job = await submit(client, metadata={"title": "Quick"})
    visitor = await visit(service.url)
    page = visitor.page
    stream = await holding(page, "**/v1/events")
    await visitor.try_key(key)
    row = page.get_by_role("link", name="Quick")
    await expect(row.locator(".chip")).to_have_text(re.compile("Pending|In progress"))
    assert (await client.post(job["links"]["cancel"])).status_code == 202
    stream.may_go_on.set()
    await expect(row.locator(".chip")).to_contain_text("Cancelled")


async def test_filter_and_search(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in(sandbox_render=60)
    page = visitor.page
    client = await service.user()
    ids = [
        (await submit(client, input=MOVIE | {"prompt": prompt}, metadata=metadata))["request_id"]
        for prompt, metadata in (
            ("Paper boats", {"title": " "}),
            ("A train in snow", {"title": "Winter train"}),
            ("Boat race", {}),
        )
    ]
    await client.post(f"/v1/jobs/{ids[0]}/cancel")
    # Compare the whole list: its length may be right before the list has changed.
    titles = page.locator(".row.job strong")
    await expect(titles).to_have_text(["Boat race", "Winter train", "Paper boats"])
    await page.get_by_label("Search").fill("BOAT")
    await expect(titles).to_have_text(["Boat race", "Paper boats"])
    await page.get_by_label("State").select_option("Cancelled")
    await expect(titles).to_have_text(["Paper boats"])
    await page.get_by_label("Search").fill("title=Winter train")
    await visitor.sees("No matching jobs")
    await page.get_by_label("State").select_option("All")
    await expect(titles).to_have_text(["Winter train"])
    await page.get_by_label("Search").fill("winter")  # part of this label, but of no prompt
    await visitor.sees("No matching jobs")
    await page.get_by_label("Search").fill(ids[2])
    await expect(titles).to_have_text(["Boat race"])
    await page.get_by_label("Search").fill("")
    await expect(titles).to_have_count(3)
    await page.get_by_label("Created").select_option("Between…")
    await page.get_by_label("From", exact=True).fill("2001-02-03T04:05")
    await page.get_by_label("To", exact=True).fill("2001-02-03T06:05")
    await visitor.sees("No matching jobs")
    await page.reload()
    await expect(page.get_by_label("From", exact=True)).to_have_value("2001-02-03T04:05")
    await page.get_by_label("To", exact=True).fill("20261-01-01T00:00")  # not a valid time
    await expect(titles).to_have_count(3)
    assert visitor.console == []


async def test_a_failure_comes_with_advice(start_signed_in: StartSignedIn) -> None:
    faults = {"sandbox_submit_timeouts": 1, "sandbox_drop_callbacks": 1}
    service, visitor = await start_signed_in(**faults, submit_timeout=0.3, unconfirmed_deadline=0.5)
    await submit(await service.user(), metadata={"title": "Unknown", "order": "7"})
    row = visitor.page.get_by_role("link", name="Unknown")
    await expect(row).to_contain_text("Failed")
    await row.click()
    notice = visitor.page.locator(".notice.bad")
    await expect(notice).to_contain_text("submit_outcome_unknown")
    await expect(notice).to_contain_text("look for it at the provider before you submit it again")


async def test_a_failure_that_its_provider_calls_completed(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in(provider="sandbox-fal", sandbox_fail_jobs=1)
    order = {"kind": "fal-ai/flux/dev", "input": {"prompt": "A heron"}}
    job = (await (await service.user()).post("/v1/jobs", json=order)).json()
    await visitor.open(f"#/jobs/{job['request_id']}")
    facts = visitor.page.get_by_role("region", name="Result and facts")
    await expect(facts).to_contain_text(
        "COMPLETED The provider says so of every job that has ended"
    )
    await expect(visitor.page.locator(".title").get_by_text("Failed")).to_be_visible()


async def test_cancel_by_keyboard(start_signed_in: StartSignedIn) -> None:
    _, visitor = await start_signed_in(sandbox_render=60)
    page = visitor.page
    await visitor.submit_by_form(Title="Regretted")
    await page.get_by_role("button", name="Cancel").press("Enter")
    dialog = page.get_by_role("dialog", name="Cancel this job?")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="Cancel").focus()
    for _ in range(3):  # held down
        await page.keyboard.down("Enter")
    await page.keyboard.up("Enter")
    await expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    await dialog.get_by_role("button", name="Cancel the job").press("Enter")
    await expect(page.locator(".title").get_by_text("Cancelled")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    await expect(page.locator("main")).to_be_focused()  # the button is gone
    assert visitor.console == []
