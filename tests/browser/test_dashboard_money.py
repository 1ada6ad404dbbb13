"""What jobs cost, on the overview."""

from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import StartSignedIn
from tests.support.service import submit

PRICES = """currency = "USD"
[[price]]
provider = "sandbox"
kind = "*"
fixed = "400000.000000000001"
"""


async def test_the_cost_of_each_day_is_exact_and_fills_the_chart(
    start_signed_in: StartSignedIn, tmp_path: Path
) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(PRICES)
    service, visitor = await start_signed_in(admin=True, prices=str(file), sandbox_render=3_600)
    await submit(await service.user("ada"))
    await visitor.open("#/overview?user=*")
    cost = visitor.page.get_by_role("region", name="Cost", exact=True)
    today = cost.locator(".moment").last
    await expect(today.locator("title")).to_contain_text("reserved: 400000.000000000001")
    # The scale ends at 500000.
    assert float(await today.locator(".part").get_attribute("height") or 0) > 90
    assert visitor.console == []
