"""The price list: what is refused and on which line, and what a job costs by it, exactly."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.config.price_file import parse_prices
from receiver.domain.prices import NumberTooLong, PriceList
from receiver.json_text import parse
from store.records.costs import EXACT, Budget, plain

MEASURES = {"samsar": (), "fal": ("billable_units",)}
HEAD = 'currency = "USD"\n'
BIG = "123456789012345678901234567890"
PRICE = '[[price]]\nprovider = "samsar"\nkind = "create_*"\n'


def prices(*lines: str) -> PriceList:
    return parse_prices(HEAD + PRICE + "\n".join(lines), MEASURES)


def amount(listed: PriceList, input_json: str) -> str | None:
    cost = listed.reserve("samsar", "create_movie", parse(input_json))
    return plain(cost.amount) if cost else None


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", {"line 1: currency"}),
        ("=", {"it is not TOML"}),
        ('currency = "USD"\ncurrency = "EUR"\n', {"it is not TOML: Cannot overwrite a value (at"}),
        ('a = 1\ncurrency = "usd"\n', {"line 1: a: there is no such member", "line 2: currency"}),
        ('# none\n\n[[price]]\nkind = "x"\n', {"line 1: currency", "line 3: price.provider"}),
        (HEAD + "price = 3", {"line 2: price: "}),
        (HEAD + "price = [\n3]", {"line 2: price: "}),
        (HEAD + PRICE + "fixed = 0.1", {"line 5: price.fixed"}),
        (HEAD + PRICE + 'fixed = "-1"', {"line 5: price.fixed"}),
        (HEAD + PRICE + 'fixed = "1e3"', {"line 5: price.fixed"}),
        (HEAD + PRICE + 'fixed = "."', {"line 5: price.fixed"}),
        (HEAD + PRICE + 'fixed = "1234567890123"', {"line 5: price.fixed"}),
        (HEAD + PRICE + 'fixed = "0.1234567890123"', {"line 5: price.fixed"}),
        (HEAD + PRICE + 'fixed = "\u0661"', {"line 5: price.fixed"}),
        (HEAD + PRICE + "fixd = '1'", {"line 5: price.fixd: there is no such member; did"}),
        (HEAD + PRICE + 'per = { a = "1", b.c = 2 }', {"line 5: price.per.b.c"}),
        (HEAD + PRICE + '[price.per]\na = "1"\nb = ""', {"line 7: price.per.b"}),
        (HEAD + PRICE + "per = '1'\nmeasured = []", {"line 5: price.p", "line 6: price.m"}),
        (
            HEAD + PRICE.replace("samsar", "fal") + 'measured = { predict_time = "1" }',
            {"line 5: price.measured: fal measures billable_units"},
        ),
        (HEAD + PRICE + 'measured = { predict_time = "1" }', {"line 5: price.measured: samsar"}),
        (
            HEAD + '[[price]]\nprovider = ["fal"]\nkind = ""\n\n[[price]]\nprovider = "fal"\n'
            'kind = """\na"""\nmeasured = { predict_time = "1", billable_units = { x = "1" } }',
            {
                "line 3: price.provider",
                "line 4: price.kind",
                "line 10: price.measured.billable_units: a text",
            },
        ),
    ],
)  # fmt: skip
def test_faults_are_told_with_their_lines(text: str, faults: set[str]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_prices(text, MEASURES)

    lines = str(refused.value).split("\n")
    assert len(lines) == len(faults)
    assert all(any(line.startswith(fault) for line in lines) for fault in faults), lines


@pytest.mark.parametrize(
    ("pattern", "kind", "fits"),
    [
        ("create_*", "create_movie", True),
        ("create_*", "create", False),
        ("*", "owner/name:version", True),
        ("owner/*", "owner/a/b:c", True),
        ("a.b", "aXb", False),
        ("[ab]?", "[ab]?", True),
        ("[ab]?", "ax", False),
        ("a*b*c", "a/b/b/c", True),
        ("Create", "create", False),
        ("a", "a\n", False),
    ],
)
def test_in_a_kind_only_the_star_is_special(pattern: str, kind: str, fits: bool) -> None:
    listed = parse_prices(HEAD + f"[[price]]\nprovider = 'fal'\nkind = '{pattern}'\n", MEASURES)

    assert (listed.find("fal", kind) is not None) == fits
    assert listed.find("sandbox-fal", kind) is None


def test_the_first_price_that_matches_counts() -> None:
    listed = prices('fixed = "1"', PRICE, 'fixed = "2"')

    assert amount(listed, "{}") == "1"
    assert listed.reserve("samsar", "other", {}) is None


@pytest.mark.parametrize(
    ("value", "cost"),
    [
        *(("3", "3"), ("0.1", "0.1"), ("0.30000000000000004", "0.30000000000000004")),
        *(("1.00000000000000000001", "1.00000000000000000001"), ("2.50", "2.5"), ("1E2", "100")),
        *((BIG, BIG), ("1e-9", "0.000000001")),
        *(("5e-324", "0." + "0" * 323 + "5"), ("1e308", "1" + "0" * 308)),
        *(('"5"', "5"), ('" 5.5 "', "5.5"), ('"1e1"', "10"), ('"+.5"', "0.5"), ('"5."', "5")),
        *(("true", "0"), ("null", "0"), ("-1", "0"), ("-0.0", "0"), ('"-2"', "0"), ("[1]", "0")),
        *(('"5s"', "0"), ('"NaN"', "0"), ('"Infinity"', "0"), ('"1_0"', "0")),
        *( ('"\u0665"', "0"), ('""', "0")),
        *((f'"{"1" * 401}"', None), (f'"{"1" * 100_000}"', None), (f'"1e{BIG}"', None)),
        *((f"1{'0' * 400}", None), ("1e-401", None), ('"1e400"', None), ('"0.1e-400"', None)),
    ],
)  # fmt: skip
def test_a_number_counts_as_it_is_written(value: str, cost: str | None) -> None:
    listed = prices('per = { n = "1" }')

    if cost is None:
        with pytest.raises(NumberTooLong):
            amount(listed, f'{{"n": {value}}}')
    else:
        assert amount(listed, f'{{"n": {value}}}') == cost


@pytest.mark.parametrize(
    ("rule", "body", "cost"),
    [
        ('fixed = "0.10"', "{}", "0.1"),
        ('per = { a.b = "2" }', '{"a": {"b": 3}}', "6"),
        ('per = { "a.b" = "2" }', '{"a": {"b": 3}}', "6"),
        ('per = { a.b = "2" }', '{"a": 3}', "0"),
        ('per = { a.b = "2" }', '{"a": [3]}', "0"),
        ('fixed = "999999999999.999999999999"\nper = { n = "0.000000000001" }', '{"n": 0.1}',
         "999999999999.9999999999991"),
        ('fixed = ".5"\nper = { n = "1.", m = "10" }', '{"n": "2", "m": 0.01}', "2.6"),
    ],
)  # fmt: skip
def test_fixed_and_per_are_added_up(rule: str, body: str, cost: str) -> None:
    assert amount(prices(*rule.split("\n")), body) == cost


decimals = st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=12)


@given(st.lists(decimals))
def test_sums_and_texts_are_exact(amounts: list[Decimal]) -> None:
    total = Decimal(0)
    for each in amounts:
        total = EXACT.add(total, each)

    assert int(total.scaleb(12, EXACT)) == sum(int(each.scaleb(12, EXACT)) for each in amounts)
    text = plain(total)
    assert Decimal(text) == total
    assert "E" not in text
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("text", "at", "starts", "ends"),
    [
        ("1/hour", "2026-12-31T23:59:59.999", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("1/day", "2026-12-31T00:00:00.000", "2026-12-31T00:00", "2027-01-01T00:00"),
        ("1/month", "2026-12-31T12:00:00.000", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("1/month", "2028-02-29T12:00:00.000", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("1/month", "2026-01-31T12:00:00.000", "2026-01-01T00:00", "2026-02-01T00:00"),
    ],
)
def test_periods_are_those_of_the_calendar(text: str, at: str, starts: str, ends: str) -> None:
    assert Budget.read(text).period_at(_millis(at)) == (_millis(starts), _millis(ends))


@pytest.mark.parametrize(
    "text",
    ["", "none", "5", "5/week", "/day", "5/day/", "-5/day", "5,0/day", "1e3/day", " 5/day", "./day",
     "1234567890123/day", "5/Day", "\u0665/day"],
)  # fmt: skip
def test_what_is_no_budget_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="is no budget: AMOUNT/hour"):
        Budget.read(text)


def _millis(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)
