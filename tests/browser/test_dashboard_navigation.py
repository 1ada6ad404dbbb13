"""Filters in the URL, Back and the scroll position, and "Submit again"."""

from playwright.async_api import expect

from tests.browser.conftest import Start, StartSignedIn, Visit
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import MOVIE, eventually, submit, wait_for_job


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
    await page.reload()  # the history survives a reload
    await up.click()
    await expect(rows).to_have_count(70)
    await eventually(
        lambda: page.evaluate("scrollY"), lambda y: abs(y - seen) < 5, "the scroll position"
    )
    await expect(page.get_by_label("Created")).to_have_value("24h")
    # A link opens a view at its top, and its URL can be shared.
    await visitor.open("#/deliveries")
    await visitor.open("#/?q=Number+6")
    await expect(page.get_by_label("Search")).to_have_value("Number 6")
    assert visitor.console == []


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
