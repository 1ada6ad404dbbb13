"""Submit again: a new job with an old one's input, which is paid again, but only once."""

import asyncio

from playwright.async_api import Locator, Route, expect

from tests.browser.conftest import StartSignedIn, Visitor, jobs_of
from tests.support.service import RunningService, submit, wait_for_job

SOON_UNANSWERED = """const limit = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = ms => limit(ms / 10);"""
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
    service, visitor = await start_signed_in(sandbox_render=0.3)
    job = await done(service)
    await visitor.page.add_init_script(SOON_UNANSWERED)
    await visitor.page.reload()
    dialog = await opened(visitor, job)

    created = asyncio.Event()

    async def hang(route: Route) -> None:
        await route.fetch()
        created.set()

    await visitor.page.route("**/v1/jobs", hang, times=1)
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
