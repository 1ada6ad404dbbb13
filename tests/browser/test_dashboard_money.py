"""What jobs cost, on the overview."""

import re
from pathlib import Path

from playwright.async_api import expect

from receiver.cli.output import money
from store.records.costs import Budget
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
    await expect(today.locator("title")).to_contain_text("create_movie: 400000.40")
    # The scale ends at 500000.
    assert float(await today.locator(".part").get_attribute("height") or 0) > 90
    assert visitor.console == []


async def test_a_day_is_divided_and_the_budget_shown(
    start_signed_in: StartSignedIn, tmp_path: Path
) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(PRICES.replace("400000.4", "0.000000000001"))
    service, visitor = await start_signed_in(admin=True, prices=str(file), sandbox_render=3_600)
    page = visitor.page
    await visitor.open("#/overview?user=*")
    cost = page.get_by_role("region", name="Cost", exact=True)
    await expect(cost).to_contain_text("No job of the last 30 days has a price.")
    await expect(cost.get_by_label("Divided by")).to_be_hidden()

    for number in range(7):  # the largest five have a colour of their own
        user = await service.user(f"user{number}")
        for _ in range(1 + (number > 1)):
            await submit(user)
    now = service.clock.now()
    for name, budget in (("user0", ".5/month"), ("user2", "0.000000000002/month")):
        await service.store.ledger.set_budget(name, Budget.read(budget), now)
    await page.reload()
    await cost.get_by_label("Divided by").select_option("user")
    await expect(page).to_have_url(re.compile("split=user"))
    keys = cost.locator(".key")
    await expect(keys).to_have_text([*(f"user{number}" for number in range(2, 7)), "others"])
    await expect(cost.locator(".moment").last.locator("title")).to_contain_text(
        "others: 0.000000000002"
    )
    await cost.get_by_text("The chart as a table").click()
    table = page.get_by_role("region", name="Cost by day, table")
    await expect(table.locator("tbody td")).to_have_text(
        ["0.000000000002"] * 6 + ["0.000000000012"]
    )
    await page.get_by_label("Divided by").focus()
    for name in ("kind", "provider"):
        await page.get_by_label("Divided by").select_option(name)
        rows = page.get_by_role("region", name=f"Cost by {name}, table").locator("tbody tr")
        await expect(rows).to_have_count(1)
        await expect(rows).to_contain_text("120.000.0000000000120.00")
    await expect(page.get_by_label("Divided by")).to_be_focused()
    await expect(table).to_be_visible()  # what is open stays open

    budgets = page.get_by_role("region", name="Budgets, table").locator("tbody tr")
    await expect(budgets.first).to_contain_text("user00.000000000001 of 0.50 USDmonthin ")
    await expect(budgets.last).to_contain_text("Used up")
    await expect(budgets.first.get_by_role("meter")).to_have_attribute("max", "0.5")
    await visitor.open("#/overview?user=user2")
    await expect(budgets).to_have_count(1)
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


async def test_amounts_are_added_exactly(start_signed_in: StartSignedIn) -> None:
    _, visitor = await start_signed_in()
    sums = {
        ("0.1", "0.2"): "0.3",
        ("123456789012345678901234567890", "0.000000000000000000000001"): (
            "123456789012345678901234567890.000000000000000000000001"
        ),
        ("0.75", "0.25"): "1",
        ("10", "20"): "30",
        ("0.05",): "0.05",
        (): "0",
    }
    found = await visitor.page.evaluate(
        "all => import('/static/money.js').then(({ sumOf }) => all.map(sumOf))",
        [list(amounts) for amounts in sums],
    )
    assert found == list(sums.values())
