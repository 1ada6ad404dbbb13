"""Filters in the URL, Back and the scroll position, and "Submit again"."""

from playwright.async_api import expect

from tests.browser.conftest import Start, Visit
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import eventually, submit


async def test_back_restores_the_list(
    start: Start, visit: Visit, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings())
    client = await service.user()
    for number in range(70):
        await submit(client, metadata={"title": f"Number {number}"})
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
