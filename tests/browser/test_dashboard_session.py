"""The page's session belongs to the browser: all of its tabs share it."""

from playwright.async_api import expect

from receiver.http_api.sessions import COOKIE
from tests.browser.conftest import Start, StartSignedIn, Visit, holding, sign_in_here

SIGN_IN = """key => fetch("/session", {
    method: "POST", body: JSON.stringify({ key }),
    headers: { "X-Requested-With": "dashboard", "Content-Type": "application/json" },
})"""


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


async def test_a_tab_shows_what_its_key_may_see(start_signed_in: StartSignedIn) -> None:
    """A user can have keys with and without an administrator's rights."""
    service, visitor = await start_signed_in(admin=True)
    await visitor.page.get_by_text("live", exact=True).wait_for()
    await visitor.page.evaluate(SIGN_IN, await service.key("root"))
    service.inner.context.broadcast.close()
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

    held = await holding(page, "**/session")
    sign_out = page.get_by_role("button", name="Sign out")
    await sign_out.click()
    await expect(sign_out).to_have_attribute("aria-disabled", "true")
    held.may_go_on.set()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_a_tab_that_waits_for_a_sign_in_keeps_its_draft(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in()
    other, key = await visitor.page.context.new_page(), await service.key("ada")
    await other.goto(f"{visitor.url}/#/new")
    await other.get_by_label("Prompt", exact=True).fill("Half a prompt")
    await other.context.clear_cookies()
    service.inner.context.broadcast.close()
    for page in (other, visitor.page):
        await expect(page.get_by_label("API key")).to_be_visible()

    await sign_in_here(visitor.page, key)

    await expect(other.get_by_label("Prompt", exact=True)).to_have_value("Half a prompt")
