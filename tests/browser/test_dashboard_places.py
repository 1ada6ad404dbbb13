"""Places at the providers: on the overview and on a job that waits for one."""

import re

from playwright.async_api import Route, expect

from tests.browser.conftest import StartSignedIn
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import submit, wait_for_job


async def test_places_and_who_waits_are_shown(
    start_signed_in: StartSignedIn, provider: ScriptedProvider
) -> None:
    settings = provider.settings() | {"jobs_in_flight": "samsar=1"}
    service, visitor = await start_signed_in(admin=True, **settings)
    ada, bob = await service.user("ada"), await service.user("bob")
    running = await submit(ada)
    await wait_for_job(ada, running["request_id"], phase="accepted")
    first, second = await submit(bob), await submit(bob, metadata={"title": "Bob's second"})
    await submit(ada)

    page = visitor.page
    await visitor.open("#/overview?user=*")
    places = page.get_by_role("region", name="Places at the providers", exact=True)
    row = places.get_by_role("row").last
    await expect(row).to_have_text("samsar1 of 13bob (2), ada (1)")
    await expect(places.get_by_role("meter")).to_have_attribute("value", "1")

    await visitor.open("#/overview?user=bob")
    await expect(row).to_have_text("samsar1 of 13bob (2), others (1)")
    await visitor.open(f"#/jobs/{second['request_id']}")
    facts = page.get_by_role("region", name="Result and facts")
    for text in (
        "for a place at the provider",
        "1 of this user's jobs",
        "1 of 1",
        "3 jobs of all users",
    ):
        await expect(facts).to_contain_text(text)

    async def late(route: Route) -> None:
        job = await (await route.fetch()).json()
        waiting = {"reason": "status_call", "ahead": 0, "detail": "RECEIVER_POLL_RATE"}
        await route.fulfill(json=job | {"waiting": waiting})

    await page.route(f"**/v1/jobs/{running['request_id']}", late)
    await visitor.open(f"#/jobs/{running['request_id']}")
    await expect(facts).to_contain_text("for a status call: RECEIVER_POLL_RATE is the limit")

    # Cancelled, the running job gives its place to bob's first, and ada's waits on.
    await visitor.open(f"#/jobs/{second['request_id']}")
    await ada.post(running["links"]["cancel"])
    await expect(facts).to_contain_text("no other job of this user")
    await visitor.open(f"#/jobs/{first['request_id']}")
    sent = page.locator(".timeline li").filter(has_text="Submission: accepted")
    await expect(sent).to_contain_text(re.compile(r"waited [\d.]+ \w+ for a free place at samsar"))
    assert visitor.console == []
