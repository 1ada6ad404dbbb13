"""What a job costs by the price list (docs/money.md), in exact numbers."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, Inexact
from typing import Any, Final

from receiver.json_text import WrittenFloat
from store.records.costs import EXACT, ZERO, Cost, CostState

MAX_DIGITS: Final = 400
"""Of a number that is priced, on each side of the point: every float that JSON can have fits."""

_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class NumberTooLong(ValueError):
    """A number in an input has too many digits to be priced. `path` leads to it."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(f"This number has more than {MAX_DIGITS} digits and cannot be priced.")
        self.path = path


@dataclass(frozen=True, slots=True)
class Price:
    """What jobs of some kinds cost."""

    provider: str
    kind: str
    """In which `*` stands for any characters."""
    fixed: Decimal
    per: Mapping[str, Decimal]
    """By the path of a number in the input, such as `a.b`."""
    measured: Mapping[str, Decimal]
    """By the name of what the provider measures."""

    def amount(self, job_input: Mapping[str, Any]) -> Decimal:
        """What is reserved for a job. Raises NumberTooLong."""
        amount = self.fixed
        for path, price in self.per.items():
            number = _number_at(job_input, path.split("."))
            amount = EXACT.add(amount, EXACT.multiply(price, number))
        return amount


@dataclass(frozen=True, slots=True)
class PriceList:
    currency: str
    price: Sequence[Price] = ()

    def find(self, provider: str, kind: str) -> Price | None:
        """The first price that matches."""
        fitting = (p for p in self.price if p.provider == provider and _fits(p.kind, kind))
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


def _number_at(job_input: Mapping[str, Any], path: Sequence[str]) -> Decimal:
    """The number at this member of the input; 0 if there is none, or if it is below 0."""
    value: Any = job_input
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    try:
        return max(read_number(value) or ZERO, ZERO)
    except ValueError:
        raise NumberTooLong(path) from None
