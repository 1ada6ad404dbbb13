"""Submit again: a new job with an old one's input, which is paid again, but only once."""

from playwright.async_api import Locator, expect

from tests.browser.conftest import StartSignedIn, Visitor, holding, jobs_of, keep_waiting
from tests.support.service import RunningService, submit, wait_for_job

A_DELIVERY = {"deliveries": [{"id": "1"}], "url": "https://example.com/hook"}


async def done(service: RunningService) -> str:
    """A job's id."""
    client = await service.user()
    job: str = (await submit(client))["request_id"]
    await wait_for_job(client, job, status="COMPLETED")
    return job


async def opened(visitor: Visitor, job: str) -> Locator:
    """The dialog for this job."""
    await visitor.open(f"#/jobs/{job}")
    await expect(visitor.page.locator(".hint code")).to_have_text(job)
    await visitor.page.get_by_role("button", name="Submit again").click()
    dialog = visitor.page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    return dialog


async def test_a_lost_answer_makes_no_second_job_in_a_later_dialog(
    start_signed_in: StartSignedIn,
) -> None:
    soon = {"api.js": {"LONGEST = 30_000": "LONGEST = 3000"}}
    service, visitor = await start_signed_in(rewritten=soon, sandbox_render=0.3)
    job = await done(service)
    dialog = await opened(visitor, job)

    created = await keep_waiting(visitor.page, "**/v1/jobs")
    await dialog.get_by_role("button", name="Submit and pay again").click()
    await visitor.sees("It is not known whether the job was created. Trying again")
    await created.wait()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    # The body of the next try must be the same, whatever is known about the first job by then.
    await visitor.page.route("**/v1/deliveries*", lambda route: route.fulfill(json=A_DELIVERY))
    await visitor.page.route("**/v1/deliveries/*", lambda route: route.fulfill(json=A_DELIVERY))
    for count in (2, 3):  # after the success, the same button is meant to make another job
        await opened(visitor, job)
        await dialog.get_by_role("button", name="Submit and pay again").click()
        await expect(dialog).to_have_count(0)
        newest, *others = await jobs_of(service)
        assert len(others) == count - 1
        await expect(visitor.page.locator(".hint code")).to_have_text(newest["request_id"])


async def test_who_waits_for_the_answer_sees_it_and_who_leaves_stays_away(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in(sandbox_render=0.3)
    page = visitor.page
    dialog = await opened(visitor, await done(service))
    held = await holding(page, "**/v1/jobs")
    await dialog.get_by_role("button", name="Submit and pay again").click()
    await held.asked.wait()
    await dialog.get_by_role("button", name="Cancel").click(force=True)
    await expect(dialog).to_be_visible()
    await visitor.open("#/deliveries")
    await expect(dialog).to_have_count(0)
    held.may_go_on.set()
    await expect(page.locator("#news")).to_have_text("The job was created.")
    assert page.url.endswith("#/deliveries")
    assert visitor.console == []


async def test_an_action_that_hangs_can_be_left(start_signed_in: StartSignedIn) -> None:
    soon = {"dialog.js": {"LONGEST_WAIT = 30_000": "LONGEST_WAIT = 300"}}
    service, visitor = await start_signed_in(rewritten=soon, sandbox_render=0.3)
    dialog = await opened(visitor, await done(service))
    held = await holding(visitor.page, "**/v1/jobs")
    await dialog.get_by_role("button", name="Submit and pay again").click()
    await held.asked.wait()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    held.may_go_on.set()
    await expect(visitor.page.locator("#news")).to_have_text("The job was created.")


async def test_escape_leaves_the_dialog_open_until_the_answer_is_there(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in(sandbox_render=0.3)
    dialog = await opened(visitor, await done(service))
    await dialog.get_by_label("Webhook").fill("nowhere")
    held = await holding(visitor.page, "**/v1/jobs")
    await dialog.get_by_role("button", name="Submit and pay again").click()
    await held.asked.wait()
    for _ in range(4):  # a browser does not let a page refuse all of them
        await visitor.page.keyboard.press("Escape")
    held.may_go_on.set()
    await expect(dialog.get_by_role("alert")).to_contain_text("webhookUrl")
    await visitor.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
