"""The price list: a TOML file, and what a job costs by it (docs/money.md)."""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, Inexact
from typing import Any, Final, TypeAlias

from receiver.json_text import WrittenFloat
from store.records.costs import AMOUNT, AMOUNT_RULE, EXACT, ZERO, Cost, CostState

MEASURES: Final = {
    "samsar": (),
    "sandbox": (),
    "replicate": ("predict_time",),
    "sandbox-replicate": ("predict_time",),
    "fal": ("billable_units",),
    "sandbox-fal": ("billable_units",),
}
"""By provider: what it measures of a job."""
MAX_DIGITS: Final = 400
"""Of a number that is priced, on each side of the point: every float that JSON can have fits."""

_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MEMBERS: Final = ("provider", "kind", "fixed", "per", "measured")

_Path: TypeAlias = tuple[str | int, ...]
_Fault: TypeAlias = tuple[_Path, str]
"""Where in the document, and what is wrong there."""


class NumberTooLong(ValueError):
    """A number in an input has too many digits to be priced. `path` leads to it."""

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(f"This number has more than {MAX_DIGITS} digits and cannot be priced.")
        self.path = path


@dataclass(frozen=True, slots=True)
class Price:
    """What jobs of some kinds cost."""

    provider: str
    kind: str
    """In which `*` stands for any characters."""
    fixed: Decimal
    per: Mapping[tuple[str, ...], Decimal]
    """By the path of a number in the input."""
    measured: Mapping[str, Decimal]

    def amount(self, job_input: Mapping[str, Any]) -> Decimal:
        """What is reserved for a job. Raises NumberTooLong."""
        amount = self.fixed
        for path, price in self.per.items():
            amount = EXACT.add(amount, EXACT.multiply(price, _number_at(job_input, path)))
        return amount


@dataclass(frozen=True, slots=True)
class PriceList:
    currency: str
    prices: tuple[Price, ...]

    def find(self, provider: str, kind: str) -> Price | None:
        """The first price that matches."""
        fitting = (p for p in self.prices if p.provider == provider and _fits(p.kind, kind))
        return next(fitting, None)

    def reserve(self, provider: str, kind: str, job_input: Mapping[str, Any]) -> Cost | None:
        """The cost of a new job; None without a price. Raises NumberTooLong."""
        if (price := self.find(provider, kind)) is None:
            return None
        amount = price.amount(job_input)
        return Cost(amount, self.currency, CostState.RESERVED, amount, price.measured)


def _fits(pattern: str, kind: str) -> bool:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return re.fullmatch(expression, kind, re.DOTALL) is not None


def measured_amount(
    rates: Mapping[str, Decimal], measured: Mapping[str, Decimal]
) -> Decimal | None:
    """What the provider measured at these prices; None if it reported none of it."""
    reported = rates.keys() & measured.keys()
    amount = ZERO
    for name in reported:
        amount = EXACT.add(amount, EXACT.multiply(rates[name], measured[name]))
    return amount if reported else None


def read_number(value: Any) -> Decimal | None:
    """A JSON number as it is written, or a text that is a decimal number; None for anything else.
    Raises ValueError if it has too many digits."""
    match value:
        case bool():
            return None
        case WrittenFloat():
            text = value.text
        case int() | float():
            text = repr(value)
        case str() if _NUMBER.fullmatch(value.strip()):
            text = value.strip()
        case _:
            return None
    if len(text) <= 2 * MAX_DIGITS:
        with suppress(Inexact):  # an exponent beyond all bounds
            number = EXACT.create_decimal(text)
            exponent = number.as_tuple().exponent
            if isinstance(exponent, int) and max(-exponent, number.adjusted() + 1) <= MAX_DIGITS:
                return number
    raise ValueError(f"a number with more than {MAX_DIGITS} digits")


def _number_at(job_input: Mapping[str, Any], path: tuple[str, ...]) -> Decimal:
    """The number at this member of the input; 0 if there is none, or if it is below 0."""
    value: Any = job_input
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    try:
        return max(read_number(value) or ZERO, ZERO)
    except ValueError:
        raise NumberTooLong(path) from None


# --- the file -------------------------------------------------------------------------------------


def parse_prices(text: str) -> PriceList:
    """Parse a price list. Raises ValueError with all faults, each with its line."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also from int(), for more than 4,300 digits
        raise ValueError(f"it is not TOML: {error}") from None
    faults = [(_line_of(text, document, where), what) for where, what in _faults(document)]
    if faults:
        raise ValueError("\n".join(f"line {line}: {what}" for line, what in sorted(faults)))
    return PriceList(document["currency"], tuple(map(_price, document.get("price", ()))))


def _price(given: Mapping[str, Any]) -> Price:
    return Price(
        provider=given["provider"],
        kind=given["kind"],
        fixed=Decimal(given.get("fixed", "0")),
        per={
            tuple(".".join(path).split(".")): Decimal(amount)
            for path, amount in _leaves(given.get("per", {}))
        },
        measured={name: Decimal(each) for name, each in given.get("measured", {}).items()},
    )


def _faults(document: Mapping[str, Any]) -> Iterator[_Fault]:
    for name in document.keys() - {"currency", "price"}:
        yield (name,), f"{name!r} is unknown; the members are currency and price"
    currency = document.get("currency")
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        yield ("currency",), "currency must be three capital letters, as in USD"
    prices = document.get("price", [])
    if not isinstance(prices, list):
        yield ("price",), "each price begins with [[price]]"
        return
    for index, price in enumerate(prices):
        if not isinstance(price, dict):
            yield ("price", index), "a price must be a table"
            continue
        for path, what in _price_faults(price):
            yield ("price", index, *path), what


def _price_faults(price: Mapping[str, Any]) -> Iterator[_Fault]:
    for name in price.keys() - set(_MEMBERS):
        yield (name,), f"{name!r} is unknown; the members are {', '.join(_MEMBERS)}"
    provider, kind = price.get("provider"), price.get("kind")
    if not isinstance(provider, str) or provider not in MEASURES:
        yield ("provider",), f"provider must be one of {', '.join(MEASURES)}"
    if not isinstance(kind, str) or not kind:
        yield ("kind",), "kind must be a text, in which * stands for any characters"
    if "fixed" in price:
        yield from _amount_faults("fixed", ("fixed",), price["fixed"])
    for table in ("per", "measured"):
        if not isinstance(price.get(table, {}), dict):
            yield (table,), f"{table} must be a table of amounts"
    for path, amount in _leaves(price.get("per", {})):
        yield from _amount_faults(".".join(("per", *path)), ("per", *path), amount)
    known = MEASURES.get(provider) if isinstance(provider, str) else None
    measured = price.get("measured", {})
    for name, amount in measured.items() if isinstance(measured, dict) else ():
        if known is not None and name not in known:
            measures = " and ".join(known) or "nothing"
            yield ("measured", name), f"{provider} measures {measures}, no {name!r}"
        yield from _amount_faults(f"measured.{name}", ("measured", name), amount)


def _amount_faults(name: str, path: _Path, amount: Any) -> Iterator[_Fault]:
    if not isinstance(amount, str) or not AMOUNT.fullmatch(amount):
        yield path, f'{name} must be a text of {AMOUNT_RULE}, as in "0.10"'


def _leaves(table: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values in nested tables, with their paths."""
    for name, value in table.items() if isinstance(table, dict) else ():
        if isinstance(value, dict) and value:
            yield from (((name, *path), leaf) for path, leaf in _leaves(value))
        else:
            yield (name,), value


def _line_of(text: str, document: Mapping[str, Any], path: _Path) -> int:
    """The line, from 1, with which the document first has what is at the path; for what is missing,
    the line of the table that lacks it. (tomllib tells no lines of values.)"""
    lines = text.split("\n")
    while not _reaches(document, path):
        path = path[:-1]

    def has(index: int) -> bool:
        for end in range(index + 1, len(lines)):
            try:
                return _reaches(tomllib.loads("\n".join(lines[:end])), path)
            except ValueError:
                continue  # it ends within a value
        return True

    return bisect_left(range(len(lines) - 1), True, key=has) + 1


def _reaches(value: Any, path: _Path) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True
