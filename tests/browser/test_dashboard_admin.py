"""The page of an administrator: jobs of everybody or of one user, keys and the service."""

from pathlib import Path

from playwright.async_api import Route, expect

from tests.browser.conftest import Start, StartSignedIn, Visit
from tests.http_api.scripted_provider import ScriptedProvider, answering
from tests.support.service import eventually, submit, wait_for_job


async def test_an_admin_sees_everybody_and_one_user(start: Start, visit: Visit) -> None:
    service = await start()
    ada, bob = await service.user("ada"), await service.user("bob")
    job = await submit(bob, metadata={"title": "Bob's"})
    await submit(ada, metadata={"title": "Ada's"})
    root = await service.user("root", admin=True)
    visitor = await visit(service.url, root)
    page = visitor.page
    titles = page.locator(".row.job strong")
    await expect(titles).to_have_text(["Ada's", "Bob's"])
    await expect(page.locator(".row.job", has_text="Bob's")).to_contain_text("bob · ")
    # What comes later appears by itself.
    await submit(bob, metadata={"title": "Bob's second"})
    await expect(titles).to_have_text(["Bob's second", "Ada's", "Bob's"])

    await page.get_by_label("User").select_option("bob")
    await expect(titles).to_have_text(["Bob's second", "Bob's"])
    await expect(page).to_have_url(f"{visitor.url}/#/?user=bob")
    await page.get_by_role("link", name="Deliveries").click()
    await expect(page).to_have_url(f"{visitor.url}/#/deliveries?user=bob")
    await page.get_by_role("link", name="Overview").click()
    await expect(page.locator(".tiles")).to_contain_text("2none failed")
    jobs_chart = page.get_by_role("region", name="Jobs", exact=True)
    await jobs_chart.locator(".moment.link:has(.part)").last.click()
    await expect(page.get_by_label("Created")).to_have_value("between")
    await expect(titles.first).to_have_text("Bob's second")

    await page.go_back()
    await page.go_back()
    await page.go_back()
    await page.locator(".row.job", has_text="Bob's").last.click()
    await expect(page.get_by_role("heading", name="Bob's")).to_be_visible()
    await expect(page.locator(".title").get_by_text("Completed")).to_be_visible()
    for name in ("Cancel", "Submit again"):
        await expect(page.get_by_role("button", name=name)).to_be_hidden()
    assert visitor.console == []

    await visitor.open("#/?user=nobody")
    await visitor.sees("There is no user 'nobody'.")
    await expect(page.locator("#connection")).to_be_hidden()  # no further attempts

    # A link to another user's job works without the user's name.
    stranger = await visit(f"{service.url}/#/jobs/{job['request_id']}")
    await stranger.try_key(root.headers["API-KEY"])
    await expect(stranger.page.get_by_role("heading", name="Bob's")).to_be_visible()


async def test_what_jobs_cost(start: Start, visit: Visit, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(
        'currency = "USD"\n[[price]]\nprovider = "sandbox"\nkind = "*"\nfixed = "0.4"\n'
    )
    service = await start(prices=str(prices), sandbox_render=3600)
    bob = await service.user("bob")
    await submit(bob, metadata={"title": "Reserved"})
    sent = await submit(bob, metadata={"title": "Unknown"})
    await wait_for_job(bob, sent["request_id"], phase="accepted")
    await bob.post(sent["links"]["cancel"])
    root = await service.user("root", admin=True)
    visitor = await visit(service.url, root)
    page = visitor.page
    await expect(page.locator(".row.job", has_text="Reserved")).to_contain_text(
        "0.40 USD, reserved"
    )
    await page.locator(".row.job", has_text="Unknown").click()
    await visitor.sees("0.40 USD, unknown")
    await page.get_by_role("link", name="Overview").click()
    for name, key in (("kind", "create_movie"), ("provider", "sandbox"), ("user", "bob")):
        await page.get_by_label("Divided by").select_option(name)
        table = page.get_by_role("region", name=f"Cost by {name}, table")
        await expect(table.locator("tbody tr")).to_have_text([f"{key}20.000.40?0.40"])
        await expect(table.locator(".chip.warning")).to_have_text("?0.40")
    assert visitor.console == []


async def test_the_service_is_two_lines_on_the_overview(
    start_signed_in: StartSignedIn, provider: ScriptedProvider
) -> None:

    provider.submit = answering(429, {}, **{"Retry-After": "60"})
    service, visitor = await start_signed_in(admin=True, **provider.settings())
    page = visitor.page
    # As the proxies in deploy/ do.
    await page.route(f"{service.url}/metrics", lambda route: route.fulfill(status=404))

    async def paused(route: Route) -> None:
        text = await (await route.fetch()).text()
        zero, one = (
            f'receiver_submissions_paused{{provider="samsar"}} {n}' for n in ("0.0", "1.0")
        )
        limited = 'receiver_status_calls_limited{setting="POLL_RATE"} 1.0\n'
        await route.fulfill(body=text.replace(zero, one) + limited)

    await page.route("**/session/metrics", paused)
    await submit(await service.user("bob"))
    await provider.submitted()
    await page.get_by_role("link", name="Overview").click()
    lines = page.get_by_role("region", name="Service")
    await expect(lines).to_contain_text("samsar ✓Answers")
    await expect(lines).to_contain_text("the provider limits our rate: samsar")
    await expect(lines).to_contain_text("at the limit of RECEIVER_POLL_RATE")
    assert visitor.console == []


async def test_keys_are_created_and_revoked(start_signed_in: StartSignedIn) -> None:
    service, visitor = await start_signed_in(admin=True)
    page = visitor.page
    await page.get_by_role("link", name="Keys").click()
    await page.get_by_label("User", exact=True).fill("no such name!")
    await page.get_by_role("button", name="Create a key").click()
    await expect(page.get_by_label("User", exact=True)).to_have_accessible_description(
        "A user name is 1 to 64 letters, digits and . _ @ -, and starts with a letter or digit."
    )
    visitor.console.clear()  # the browser logs each refusal
    await page.get_by_label("User", exact=True).fill("carol")
    await page.get_by_role("button", name="Create a key").dblclick()  # creates only one
    shown = page.get_by_role("region", name="New key of carol")
    key = await shown.locator("code").first.inner_text()
    carol = service.client(key)
    assert (await carol.get("/v1/jobs")).status_code == 200

    row = page.get_by_role("row").filter(has_text="carol")
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_role("button", name="Keep it").click()
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_role("button", name="Revoke the key").click()
    await expect(row).to_contain_text("Revoked")
    await expect(page.locator("main")).to_be_focused()  # the button is gone
    await eventually(lambda: carol.get("/v1/jobs"), lambda answer: answer.status_code == 401)
    assert visitor.console == []

    await page.reload()
    await expect(page.get_by_role("row").filter(has_text="carol")).to_be_visible()
    assert key not in await page.content()


async def test_others_see_no_service_and_only_their_own_secret(
    start_signed_in: StartSignedIn,
) -> None:
    service, visitor = await start_signed_in()
    page = visitor.page
    await visitor.open("#/overview")
    await visitor.sees("Median time to completion")
    await expect(page.get_by_role("region", name="Service")).to_have_count(0)
    await page.get_by_role("link", name="Keys").click()
    await expect(page.get_by_role("button", name="Create a key")).to_have_count(0)
    await page.get_by_role("button", name="Show it").click()
    dialog = page.get_by_role("dialog")
    user = await service.store.keys.user_named("ada")
    assert user is not None
    await dialog.get_by_label("API key").fill(await service.key("ada"))
    await dialog.get_by_role("button", name="Show it").click()
    await expect(dialog.locator("code")).to_have_text(user.secret)
