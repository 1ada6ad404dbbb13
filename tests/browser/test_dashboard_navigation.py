"""Filters in the URL, Back and the scroll position, "Submit again", and the timeline."""

import httpx
from playwright.async_api import expect

from tests.browser.conftest import Start, StartSignedIn, Visit, visit_job, visit_list
from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import MOVIE, eventually, submit, wait_for_job

FEW_KEPT = {"live.js": {"MOST_JOBS = 5000": "MOST_JOBS = 20"}}


async def test_a_browser_whose_clock_is_wrong_shows_the_service_s_hours(
    job: AcceptedJob, visit: Visit
) -> None:
    visitor = await visit_list(visit, job)
    hours_ahead = "const real = Date.now; Date.now = () => real() + 3 * 3600e3"
    await visitor.page.add_init_script(hours_ahead)
    await visitor.page.reload()
    await visitor.open("#/?since=1h")
    await expect(visitor.page.locator(".row.job")).to_have_count(1)
    await expect(visitor.page.locator(".row.job")).to_contain_text("s ago")


async def test_back_restores_the_list(
    start: Start, visit: Visit, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings())
    client = await service.user()
    for number in range(70):
        await submit(client, metadata={"label": f"Number {number}"})
    visitor = await visit(service.url, client)
    page = visitor.page
    await visitor.open("#/?kind=create_movie&since=24h")
    rows = page.locator(".row.job")
    await expect(rows).to_have_count(50)
    await page.get_by_role("button", name="Show older").click()
    await expect(rows).to_have_count(70)
    row = rows.filter(has_text="Number 5").last
    await row.scroll_into_view_if_needed()
    await row.hover()
    seen = await page.evaluate("scrollY")
    assert seen > 0
    await row.click()
    await expect(page.get_by_role("heading", name="Number 5")).to_be_visible()
    assert await page.evaluate("scrollY") == 0

    up = page.get_by_role("link", name="← Jobs")
    async with page.context.expect_page() as tab:
        await up.click(modifiers=["ControlOrMeta"])
    await (await tab.value).close()
    await expect(page.get_by_role("heading", name="Number 5")).to_be_visible()
    await page.reload()  # the history survives a reload
    await up.click()
    await expect(rows).to_have_count(70)
    await eventually(
        lambda: page.evaluate("scrollY"), lambda y: abs(y - seen) < 5, "the scroll position"
    )
    await expect(page.get_by_label("Created")).to_have_value("24h")
    await page.go_forward()
    await expect(page.get_by_role("heading", name="Number 5")).to_be_visible()
    await page.go_back()
    await eventually(
        lambda: page.evaluate("scrollY"), lambda y: abs(y - seen) < 5, "the scroll position"
    )

    # A link opens a view at its top, and its URL can be shared.
    await visitor.open("#/deliveries")
    await visitor.open("#/?q=Number+6")
    await expect(page.get_by_label("Search")).to_have_value("Number 6")
    assert visitor.console == []


def all_accepted(page: httpx.Response) -> bool:
    return all(job["phase"] == "accepted" for job in page.json()["jobs"])


async def test_search_finds_the_prompt_of_what_is_not_loaded(
    start: Start, visit: Visit, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings())
    client = await service.user()
    await submit(client, input=MOVIE | {"prompt": "A needle in the hay"})
    for _ in range(60):
        await submit(client)
    await eventually(lambda: client.get("/v1/jobs?limit=61"), all_accepted, "no update follows")
    visitor = await visit(service.url, client, rewritten=FEW_KEPT)
    page = visitor.page
    await expect(page.locator(".row.job")).to_have_count(50)
    await page.get_by_label("Search").fill("NEEDLE")
    await expect(page.locator(".row.job strong")).to_have_text(["A needle in the hay"])
    await expect(page).to_have_url(f"{visitor.url}/#/?q=NEEDLE")
    await page.get_by_label("Search").fill("")
    await expect(page.locator(".row.job")).to_have_count(50)
    await page.get_by_role("button", name="Show older").click()
    await expect(page.locator(".row.job")).to_have_count(61)
    await page.get_by_label("Search").fill("camel")
    await visitor.sees("No matching jobs")


async def test_rows_on_the_page_outlive_the_cache(start_signed_in: StartSignedIn) -> None:
    """A filtered list claimed that nothing matched, after enough other jobs had passed."""
    service, visitor = await start_signed_in(rewritten=FEW_KEPT, sandbox_render=0.1)
    page, client = visitor.page, await service.user()
    cancelled = await submit(client, metadata={"label": "Not wanted"})
    await client.post(cancelled["links"]["cancel"])
    await visitor.open("#/?status=CANCELLED")
    rows = page.locator(".row.job")
    await expect(rows).to_have_count(1)
    for _ in range(30):
        newest = await submit(client)
    await eventually(
        lambda: page.evaluate(
            "id => import('/static/live.js').then(({ jobs }) => jobs.get(id)?.done)",
            newest["request_id"],
        ),
        lambda done: done is True,
        "the page has the last job",
    )
    await expect(rows).to_contain_text("Not wanted")


async def test_older_rows_come_on_request_until_new_jobs_push_them_out(
    start: Start, visit: Visit, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings())
    client = await service.user()
    for label in "ABCDE":
        await submit(client, metadata={"label": label})
    short = {"jobs.js": {"PAGE = 50": "PAGE = 2", "_PAGE = 200": "_PAGE = 4"}}
    visitor = await visit(service.url, client, rewritten=short)
    titles = visitor.page.locator(".row.job strong")
    older = visitor.page.get_by_role("button", name="Show older")
    await expect(titles).to_have_text(list("ED"))
    await older.press("Enter")
    await expect(titles).to_have_text(list("EDCB"))
    await expect(older).to_be_focused()
    await older.press("Enter")
    await expect(titles).to_have_text(list("EDCBA"))
    await expect(older).to_be_hidden()
    await expect(visitor.page.locator(".row.job:focus")).to_have_count(1)
    for label in "FGH":
        await submit(client, metadata={"label": label})
    await expect(titles).to_have_text(list("HGFEDC"))
    await older.click()
    await expect(titles).to_have_text(list("HGFEDCBA"))
    await expect(older).to_be_hidden()


async def test_updates_leave_the_history_alone(job: AcceptedJob, visit: Visit) -> None:
    """Safari refuses more than 100 changes of the history in 10 seconds."""
    visitor = await visit_list(visit, job)
    await visitor.page.evaluate("""() => {
        const change = history.replaceState.bind(history);
        window.changes = 0;
        history.replaceState = (...given) => { window.changes += 1; change(...given); };
    }""")
    for progress in range(10, 60, 10):
        await job.send({"status": "IN_PROGRESS", "progress": progress})
        await visitor.sees(f"{progress} %")
    # One, if the number of rows was not remembered before.
    assert await visitor.page.evaluate("window.changes") <= 1


async def test_updates_in_quick_succession_are_painted_together(
    job: AcceptedJob, visit: Visit
) -> None:
    visitor = await visit_list(visit, job)
    await visitor.page.evaluate("""() => {
        window.paints = [];
        const seen = new MutationObserver(() => window.paints.push(performance.now()));
        seen.observe(document.querySelector("ul.rows"), { childList: true, subtree: true });
    }""")
    for progress in range(1, 41):
        await job.send({"status": "IN_PROGRESS", "progress": progress})
    await visitor.sees("40 %")
    paints = await visitor.page.evaluate("window.paints")
    # Five a second, and two more if the snapshot's load ends only now.
    assert len(paints) <= (paints[-1] - paints[0]) / 200 + 3, paints


async def test_submit_again_names_the_cost(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in(sandbox_render=0.3)
    client = await service.user()
    given = MOVIE | {"prompt": "Twice", "duration": 10.0}
    first = await submit(client, input=given, metadata={"order": "7"})
    await wait_for_job(client, first["request_id"], status="COMPLETED")
    page = visitor.page
    await page.get_by_role("link", name="Twice").click()
    await page.get_by_role("button", name="Submit again").dblclick()  # asks only once
    dialog = page.get_by_role("dialog", name="Submit “Twice” again?")
    await expect(dialog).to_contain_text("The provider (sandbox) is paid again")
    await dialog.get_by_role("button", name="Submit and pay again").click()
    await expect(page.locator(".hint code")).not_to_have_text(first["request_id"])
    second = (await client.get("/v1/jobs?limit=1")).json()["jobs"][0]
    assert second["request_id"] != first["request_id"]
    assert second["metadata"] == {"order": "7"}
    shown = await client.get(second["links"]["self"])
    assert shown.json()["input"] == given
    assert '"duration":10.0' in shown.text  # JavaScript would write 10
    assert visitor.console == []


async def test_a_callback_and_its_effect_are_one_entry(job: AcceptedJob, visit: Visit) -> None:
    note = f"to {job.callback_url} <b>"
    await job.send({"status": "IN_PROGRESS", "progress": 40, "note": note})
    await job.wait_for(progress=40)
    visitor = await visit_job(visit, job)
    page = visitor.page
    entry = page.locator(".timeline li", has_text="Rendering, 40 %")
    await expect(entry).to_contain_text("Callback: applied")
    await entry.get_by_text("Body, ").click()
    await expect(entry.locator("pre")).to_contain_text('"progress": 40')
    # The address of a callback is a secret.
    await expect(entry.locator("pre")).to_contain_text("/webhooks/samsar/… <b>")

    await job.send({"status": "FAILED", "message": "No film"})
    end = page.locator(".timeline .end.failed")
    await expect(end).to_contain_text("Failed")
    await expect(end).to_contain_text("Callback: applied")
    await expect(entry.locator("pre")).to_be_visible()  # what is opened stays open
    assert visitor.console == []


async def test_a_cut_body_says_so_in_any_script(job: AcceptedJob, visit: Visit) -> None:
    """The first 3,072 bytes are fewer than 2,048 characters."""
    visitor = await visit_list(visit, job)
    await job.send({"status": "IN_PROGRESS", "progress": 40, "note": "ж" * 4500})
    await visitor.sees("40 %")
    await visitor.page.locator(".row.job").click()
    await visitor.sees("bytes, truncated")


async def test_what_is_typed_as_the_view_is_left_stays_there(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    page = visitor.page
    await page.clock.install()
    await visitor.sign_in(await service.key())
    await page.get_by_label("Search").fill("boat")
    await visitor.open("#/overview")
    await page.clock.run_for(1000)
    await expect(page).to_have_url(f"{visitor.url}/#/overview")


async def test_a_job_leaves_the_last_hour_when_time_passes(job: AcceptedJob, visit: Visit) -> None:
    soon = {"filters.js": {'"Last hour", HOUR': '"Last hour", 20_000'}}
    visitor = await visit_list(visit, job, rewritten=soon)
    page = visitor.page
    await page.clock.install()
    await page.reload()
    await visitor.open("#/?since=1h")
    await expect(page.locator(".row.job")).to_contain_text("accepted")  # no change follows
    # Less than the page waits for an answer: the list may still be loading.
    await page.clock.run_for(20_000)
    await visitor.sees("No matching jobs")
