"""The page's session belongs to the browser: all of its tabs share it."""

from playwright.async_api import expect

from receiver.http_api.sessions import COOKIE
from tests.browser.conftest import Start, StartSignedIn, Visit


async def test_a_session_begins_and_ends(start: Start, visit: Visit) -> None:
    service = await start()
    visitor = await visit(service.url)
    page = visitor.page
    await visitor.try_key("rk_wrong")
    await visitor.sees("No such key")
    assert "401" in visitor.console.pop()  # the browser logs each refusal

    key = await service.key()
    await visitor.sign_in(key)
    assert [cookie["name"] for cookie in await page.context.cookies()] == [COOKIE]
    # No script can read the key or the session.
    assert await page.evaluate("document.cookie") == ""
    assert key not in await page.content()
    stored = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert stored == "[{},{}]"

    await page.reload()
    await visitor.sees("No jobs yet")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_focused()
    assert await page.context.cookies() == []

    await visitor.sign_in(key)
    await service.store.keys.revoke(key[:11], 1)
    service.inner.context.broadcast.close()  # as the next heartbeat does after the key is revoked
    await visitor.sees("Your session has ended")


async def test_signing_out_is_tried_again(start_signed_in: StartSignedIn) -> None:
    _, visitor = await start_signed_in()
    page = visitor.page
    await page.route("**/session", lambda route: route.abort())
    await page.get_by_role("button", name="Sign out").click()
    await visitor.sees("The service does not answer")
    await visitor.sees("No jobs yet")
    await page.unroute("**/session")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
