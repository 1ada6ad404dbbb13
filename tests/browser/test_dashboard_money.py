"""What jobs cost, on the overview."""

from pathlib import Path

from playwright.async_api import expect

from receiver.cli.output import money
from tests.browser.conftest import StartSignedIn
from tests.support.service import submit

PRICES = """currency = "USD"
[[price]]
provider = "sandbox"
kind = "*"
fixed = "400000.4"
"""


async def test_the_cost_of_each_day_fills_the_chart(
    start_signed_in: StartSignedIn, tmp_path: Path
) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(PRICES)
    service, visitor = await start_signed_in(admin=True, prices=str(file), sandbox_render=3_600)
    await submit(await service.user("ada"))
    await visitor.open("#/overview?user=*")
    cost = visitor.page.get_by_role("region", name="Cost", exact=True)
    today = cost.locator(".moment").last
    await expect(today.locator("title")).to_contain_text("reserved: 400000.40")
    # The scale ends at 500000.
    assert float(await today.locator(".part").get_attribute("height") or 0) > 90
    assert visitor.console == []


async def test_amounts_have_the_currency_s_decimals_as_in_commands(
    start_signed_in: StartSignedIn,
) -> None:
    _, visitor = await start_signed_in()
    amounts = ("0", "0.4", "5.1", "400000.000000000001", "100", "0.000000000001", "12.345")
    cases = [[amount, currency] for amount in amounts for currency in ("USD", "JPY", "KWD", "CLF")]
    shown = await visitor.page.evaluate(
        "cases => import('/static/money.js').then(({ amountText }) =>"
        " cases.map(([amount, currency]) => amountText(amount, currency)))",
        cases,
    )
    assert shown == [money(amount, currency) for amount, currency in cases]
