"""The form that submits a job."""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import (
    StartSignedIn,
    holding,
    jobs_of,
    sign_in_here,
)
from tests.support.service import job_of


async def test_errors_are_shown_at_their_fields(start_signed_in: StartSignedIn) -> None:
    _, visitor = await start_signed_in()
    page = visitor.page
    await visitor.submit_by_form(Prompt="x" * 501, Seconds="soon", Webhook="http://10.0.0.1/")
    prompt = page.get_by_label("Prompt", exact=True)
    await expect(prompt).to_have_attribute("aria-invalid", "true")
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_accessible_description("Prompt is too long")
    await expect(page.get_by_label("Seconds")).to_have_attribute("aria-invalid", "true")
    webhook = page.get_by_label("Webhook")
    await expect(webhook).to_have_attribute("aria-invalid", "true")
    both = re.compile("RECEIVER_RELAY_ALLOW_HTTP=true.* RECEIVER_RELAY_ALLOW_NETS")
    await expect(webhook).to_have_accessible_description(both)
    await prompt.fill("Better")
    await page.get_by_label("Seconds").fill("5")
    await webhook.fill("")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


async def test_a_movie_goes_to_the_provider_that_makes_movies(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in(provider="sandbox-replicate", providers="sandbox")
    await visitor.open("#/new")
    await expect(visitor.page.get_by_label("Another provider")).to_be_visible()
    await visitor.page.get_by_role("button", name="Submit").click()
    await expect(visitor.page.get_by_role("heading", name="Timeline")).to_be_visible()
    assert [job["provider"] for job in await jobs_of(service)] == ["sandbox"]


async def test_another_provider_and_again_with_every_digit(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in(providers="sandbox,sandbox-replicate")
    page, seed = visitor.page, 12345678901234567890123
    await visitor.open("#/new")
    await page.get_by_label("Another provider").check()
    await expect(page.get_by_label("Prompt", exact=True)).to_be_hidden()
    await page.get_by_label("Kind", exact=True).fill("nonsense")
    await page.get_by_label("Input, as JSON").fill("[]")
    await page.get_by_role("button", name="Submit").click()
    described = expect(page.get_by_label("Input, as JSON"))
    await described.to_have_accessible_description("The input must be a JSON object.")
    await page.get_by_label("Input, as JSON").fill(f'{{"seed": {seed}, "scale": 10.0}}')
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_label("Kind", exact=True)).to_have_attribute("aria-invalid", "true")
    visitor.console.clear()  # the browser logs each refusal
    await page.get_by_label("Kind", exact=True).fill("owner/name")
    await page.get_by_label("Title").fill("Twice")
    await page.get_by_role("button", name="Submit").click()
    await page.get_by_role("button", name="Submit again").dblclick()  # asks only once
    dialog = page.get_by_role("dialog", name="Submit “Twice” again?")
    await expect(dialog).to_contain_text("The provider (sandbox-replicate) is paid again")
    await dialog.get_by_role("button", name="Submit and pay again").click()
    await expect(dialog).to_have_count(0)
    client = await service.user()
    jobs = (await client.get("/v1/jobs", params={"provider": "sandbox-replicate"})).json()["jobs"]
    assert [job["kind"] for job in jobs] == ["owner/name"] * 2
    assert [job["metadata"] for job in jobs] == [{"title": "Twice"}] * 2
    for job in jobs:
        shown = (await client.get(job["links"]["self"])).text
        assert f'"input":{{"seed":{seed},"scale":10.0}}' in shown  # JavaScript would write 10
    assert visitor.console == []


async def test_the_form_as_a_command(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page
    await visitor.open("#/new")
    await page.get_by_text("As a curl command").click()
    await page.get_by_label("Prompt", exact=True).fill("A fox's map")
    command = await page.get_by_label("the command", exact=True).inner_text()
    environment = {"KEY": await service.key("ada"), "ORDER": "7", "PATH": os.environ["PATH"]}
    shell = await asyncio.create_subprocess_shell(command, stdout=PIPE, env=environment)
    answer, _ = await shell.communicate()
    job = await job_of(await service.user(), json.loads(answer)["request_id"])
    assert job["input"]["prompt"] == "A fox's map"
    assert visitor.console == []


async def test_what_was_typed_outlives_the_session(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in(providers="sandbox,sandbox-replicate,sandbox-fal")
    page = visitor.page
    await visitor.open("#/new")
    await page.get_by_label("Another provider").check()
    await page.get_by_label("Provider", exact=True).select_option("sandbox-fal")
    await visitor.page.context.clear_cookies()
    kind = page.get_by_label("Kind", exact=True)
    await kind.fill("fal-ai/flux/dev")
    await page.get_by_role("button", name="Submit").click()
    await visitor.sees("Your session has ended")

    await sign_in_here(page, await service.key("ada"))
    await expect(page.get_by_label("Provider", exact=True)).to_have_value("sandbox-fal")
    await expect(kind).to_have_value("fal-ai/flux/dev")

    # It is shown to nobody else, and not after it was submitted.
    for user in ("bob", "ada"):
        await page.get_by_role("button", name="Sign out").click()
        await sign_in_here(page, await service.key(user))
        await expect(page.get_by_label("create_movie")).to_be_checked(checked=user == "bob")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    await visitor.open("#/new")
    await expect(page.get_by_label("create_movie")).to_be_checked()


async def test_who_waits_in_the_form_does_not_submit_as_the_next_user(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page
    names = await holding(page, "**/openapi.json")
    await visitor.submit_by_form(Title="Ada's")
    await names.asked.wait()
    await page.get_by_role("button", name="Sign out").click()
    await sign_in_here(page, await service.key("bob"))
    await expect(page.locator("#who")).to_have_text("bob")
    names.may_go_on.set()
    await page.get_by_label("Title").fill("Bob's")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("heading", name="Bob's")).to_be_visible()
    assert [job["metadata"]["title"] for job in await jobs_of(service, "bob")] == ["Bob's"]


@pytest.mark.parametrize(
    ("status", "body", "said", "leaves"),
    [
        (502, "<p>Sorry</p>", "The service answered 502.", False),
        (200, "<p>Sorry</p>", "Something else answered", False),
        (200, "", "Something else answered", True),
    ],
)
async def test_a_proxy_s_page_is_no_answer(
    start_signed_in: StartSignedIn, status: int, body: str, said: str, leaves: bool
) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page

    async def replace_the_answer(route: Route) -> None:
        await route.fetch()
        await route.fulfill(status=status, body=body, content_type="text/html")

    await page.route("**/v1/jobs", replace_the_answer, times=1)
    await visitor.open("#/new")
    await expect(page.locator("[name=known]")).to_have_value("sandbox")  # it is part of the body
    await page.get_by_label("Prompt", exact=True).fill("Once")
    await page.get_by_role("button", name="Submit").click()
    await visitor.sees(said)
    await visitor.sees("It is not known whether the job was created.")

    async with page.expect_event("dialog") as asked:
        leaving = asyncio.create_task(page.get_by_role("link", name="API").click())
        dialog = await asked.value
        assert dialog.type == "beforeunload"
        await dialog.dismiss()
        await leaving
    if leaves:
        await visitor.open("#/")
        await visitor.open("#/new")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("heading", name="Once")).to_be_visible()
    assert len(await jobs_of(service)) == 1
