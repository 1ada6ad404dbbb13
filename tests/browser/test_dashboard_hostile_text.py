"""Whatever a user or the provider writes is shown as text and never runs."""

from urllib.parse import quote

import httpx
from playwright.async_api import Page, expect
from starlette.responses import JSONResponse, Response

from tests.browser.conftest import StartSignedIn, Visitor
from tests.http_api.scripted_provider import ScriptedProvider, Submission, call_back
from tests.support.service import MOVIE, submit

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>'",
    "{{7*7}}${7*7}",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "</textarea></title><b>",
)


async def nothing_became_markup(page: Page) -> None:
    strange = "b, script:not([src^='static/']), iframe, object, embed, [onerror], [onload]"
    assert await page.locator(strange).count() == 0
    assert await page.locator("a[href^='javascript:']").count() == 0


async def test_in_every_field(start_signed_in: StartSignedIn, provider: ScriptedProvider) -> None:

    async def accept_with_a_strange_id(submission: Submission) -> Response:
        return JSONResponse({"request_id": submission.body["input"]["prompt"]})

    provider.submit = accept_with_a_strange_id
    service, visitor = await start_signed_in(**provider.settings(), confirm_callbacks=False)
    client = await service.user()
    opened: list[str] = []
    # A script's dialog would stay open, since nothing answers it, and what follows would fail.
    visitor.page.on("dialog", lambda dialog: opened.append(dialog.message))
    for text in HOSTILE:
        await shows_as_text(visitor, client, provider, text)
    assert opened == []
    # Expected errors: links of the provider that lead nowhere, and the 404s.
    assert [line for line in visitor.console if "Failed to load resource" not in line] == []


async def shows_as_text(
    visitor: Visitor, client: httpx.AsyncClient, provider: ScriptedProvider, text: str
) -> None:
    page = visitor.page
    metadata = {"title": text, text[:64]: text}
    count = len(provider.submissions)
    await submit(client, input=MOVIE | {"prompt": text}, metadata=metadata)
    url = (await provider.submitted(count + 1)).webhook_url
    row = page.locator(".row.job").first
    await expect(row.locator("strong")).to_have_text(text)
    progress = {"request_id": text, "status": text, "progress": 40, "message": text}
    assert (await call_back(url, progress)).status_code == 200
    await expect(row.locator(".what small")).to_have_text(text)
    await nothing_became_markup(page)

    await row.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(text)
    result = {"videoUrl": f"https://video.example/{text}", text[:64]: text}
    done = {"request_id": text, "status": "COMPLETED", "message": text, "result": result}
    assert (await call_back(url, done)).status_code == 200
    await expect(page.locator(".title").get_by_text("Completed")).to_be_visible()
    await expect(page.locator("dd").filter(has_text=text).first).to_be_visible()
    await page.get_by_text("As JSON").click()
    await nothing_became_markup(page)

    second = await submit(client, metadata=metadata)
    url = (await provider.submitted(count + 2)).webhook_url
    assert (await call_back(url, {"status": "FAILED", "message": text})).status_code == 200
    await visitor.open(f"#/jobs/{second['request_id']}")
    await expect(page.locator(".title").get_by_text("Failed")).to_be_visible()
    await expect(page.locator(".timeline .end")).to_contain_text(text)

    await visitor.open(f"#/jobs/{quote(text, safe='')}")
    await visitor.sees("No such job")
    await visitor.open("#/")
    await page.get_by_label("Search").fill("nothing like it")
    await visitor.sees("No matching jobs")
    await page.get_by_label("Search").fill(f"title={text}")
    await expect(page.locator(".row.job")).to_have_count(2)
    await nothing_became_markup(page)
    await page.get_by_label("Search").fill("")
