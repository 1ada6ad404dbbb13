"""Whatever a user or the provider writes is shown as text, and runs nowhere."""

from urllib.parse import quote

import pytest
from playwright.async_api import expect
from starlette.responses import JSONResponse, Response

from tests.browser.conftest import Start, Visit, Visitor
from tests.http_api.scripted_provider import call_back, scripted_provider
from tests.support.service import MOVIE, submit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>'",
    "{{7*7}}${7*7}",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "</textarea></title><b>",
)


async def watch_for_harm(visitor: Visitor) -> list[str]:
    harm: list[str] = []

    async def note(dialog: object) -> None:
        harm.append(f"a dialog opened: {dialog}")

    visitor.page.on("dialog", note)
    return harm


async def nothing_became_markup(visitor: Visitor) -> None:
    strange = "b, script:not([src^='/static/']), iframe, object, embed, [onerror], [onload]"
    assert await visitor.page.locator(strange).count() == 0
    assert await visitor.page.locator("a[href^='javascript:']").count() == 0


@pytest.mark.parametrize("text", HOSTILE)
async def test_in_every_field(start: Start, visit: Visit, text: str) -> None:
    async with scripted_provider() as provider:

        async def accept_with_a_strange_id(_: object) -> Response:
            return JSONResponse({"request_id": text})

        provider.submit = accept_with_a_strange_id
        service = await start(**provider.settings(), confirm_callbacks=False)
        key = await service.key("ada")
        client = service.client(key)
        metadata = {"label": text, text[:64]: text}
        job = await submit(client, input=MOVIE | {"prompt": text}, metadata=metadata)
        callback_url = (await provider.submitted()).webhook_url
        visitor = await visit(service.url)
        harm = await watch_for_harm(visitor)
        await visitor.sign_in(key)
        row = visitor.page.locator(".row.job")
        await expect(row.locator("strong")).to_have_text(text)

        progress = {"request_id": text, "status": text, "progress": 40, "message": text}
        assert (await call_back(callback_url, progress)).status_code == 200
        await expect(row.locator(".what small")).to_have_text(text)
        await nothing_became_markup(visitor)

        await row.click()
        await expect(visitor.page.get_by_role("heading", level=1)).to_have_text(text)
        result = {"videoUrl": f"https://video.example/{text}", text[:64]: text}
        done = {"request_id": text, "status": "COMPLETED", "message": text, "result": result}
        assert (await call_back(callback_url, done)).status_code == 200
        await expect(visitor.page.locator(".title").get_by_text("Completed")).to_be_visible()
        facts = visitor.page.locator("dd")
        await expect(facts.filter(has_text=text).first).to_be_visible()
        await visitor.page.get_by_text("As JSON").click()
        await nothing_became_markup(visitor)

        second = await submit(client, metadata=metadata)
        failed = {"status": "FAILED", "message": text}
        provider_url = (await provider.submitted(2)).webhook_url
        assert (await call_back(provider_url, failed)).status_code == 200
        await visitor.open(f"#/jobs/{second['request_id']}")
        await expect(visitor.page.locator(".title").get_by_text("Failed")).to_be_visible()
        await expect(visitor.page.locator(".timeline .end")).to_contain_text(text)

        await visitor.open(f"#/jobs/{quote(text, safe='')}")
        await visitor.sees("No such job")
        await visitor.open("#/")
        search = visitor.page.get_by_label("Search")
        await search.fill("nothing like it")
        await visitor.sees("No matching jobs")
        await search.fill(text)
        await expect(visitor.page.locator(".row.job")).to_have_count(2)
        await nothing_became_markup(visitor)
        assert job["request_id"]
        assert harm == []
        # A link of the provider that leads nowhere is its own line of the browser's, and so is the
        # 404 that was asked for.
        ours = [said for said in visitor.console if "Failed to load resource" not in said]
        assert ours == []


async def test_a_video_plays_where_the_link_is_one(start: Start, visit: Visit) -> None:
    """A video that cannot be loaded says so, and the link stays."""
    async with scripted_provider() as provider:
        service = await start(**provider.settings(), confirm_callbacks=False)
        key = await service.key()
        job = await submit(service.client(key))
        url = (await provider.submitted()).webhook_url
        link = "http://127.0.0.1:9/film.mp4"
        await call_back(url, {"status": "COMPLETED", "result": {"videoUrl": link}})
        visitor = await visit(service.url)
        await visitor.sign_in(key)
        await visitor.open(f"#/jobs/{job['request_id']}")
        await visitor.sees("It cannot be shown here.")
        open_it = visitor.page.get_by_role("link", name="Open the result")
        await expect(open_it).to_have_attribute("href", f"/v1/jobs/{job['request_id']}/result")
