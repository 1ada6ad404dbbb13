"""The price list: a TOML file, and what a job costs by it (docs/money.md)."""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, Inexact
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
)

from receiver.json_text import WrittenFloat
from store.records.costs import AMOUNT, AMOUNT_RULE, EXACT, ZERO, Cost, CostState

MEASURES: Final = {"replicate": "predict_time", "fal": "billable_units"}
"""By API: what the provider measures of a job."""
MAX_DIGITS: Final = 400
"""Of a number that is priced, on each side of the point: every float that JSON can have fits."""

_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class NumberTooLong(ValueError):
    """A number in an input has too many digits to be priced. `path` leads to it."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(f"This number has more than {MAX_DIGITS} digits and cannot be priced.")
        self.path = path


# --- the document ---------------------------------------------------------------------------------


def _amount(value: object) -> Decimal:
    if not isinstance(value, str) or not AMOUNT.fullmatch(value):
        raise ValueError(f'a text of {AMOUNT_RULE} is needed, as in "0.10"')
    return Decimal(value)


def _currency(text: str) -> str:
    if not re.fullmatch("[A-Z]{3}", text):
        raise ValueError("three capital letters are needed, as in USD")
    return text


def _flat(table: object) -> object:
    """The table with the members of nested ones, by their paths: `a.b`."""
    if not isinstance(table, dict):
        return table
    return dict(_leaves(table))


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from ((f"{name}.{path}", leaf) for path, leaf in _leaves(value))
        else:
            yield name, value


def _measurable(table: dict[str, Decimal], info: ValidationInfo) -> dict[str, Decimal]:
    provider = info.data.get("provider", "")
    measured = MEASURES.get(provider.removeprefix("sandbox-"))
    if provider and table.keys() - {measured}:
        raise ValueError(f"{provider} measures {measured or 'nothing'}")
    return table


_Amount = Annotated[Decimal, PlainValidator(_amount)]
AnyProvider = Literal["samsar", "replicate", "fal", "sandbox", "sandbox-replicate", "sandbox-fal"]
"""The providers and their sandboxes."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Table):
    """What jobs of some kinds cost."""

    provider: AnyProvider
    kind: Annotated[str, Field(min_length=1)]
    """In which `*` stands for any characters."""
    fixed: _Amount = ZERO
    per: Annotated[dict[str, _Amount], BeforeValidator(_flat)] = Field(default_factory=dict)
    """By the path of a number in the input, such as `a.b`."""
    measured: Annotated[dict[str, _Amount], AfterValidator(_measurable)] = Field(
        default_factory=dict
    )

    def amount(self, job_input: Mapping[str, Any]) -> Decimal:
        """What is reserved for a job. Raises NumberTooLong."""
        amount = self.fixed
        for path, price in self.per.items():
            number = _number_at(job_input, path.split("."))
            amount = EXACT.add(amount, EXACT.multiply(price, number))
        return amount


class PriceList(_Table):
    currency: Annotated[str, AfterValidator(_currency)]
    price: tuple[Price, ...] = ()

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


def parse_prices(text: str) -> PriceList:
    """Parse a price list. Raises ValueError with all faults, each with its line."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also from int(), for more than 4,300 digits
        raise ValueError(f"it is not TOML: {error}") from None
    try:
        return PriceList.model_validate(document)
    except ValidationError as error:
        faults = []
        for each in error.errors(include_url=False):
            name = ".".join(str(step) for step in each["loc"] if isinstance(step, str))
            what = each["msg"].removeprefix("Value error, ")
            faults.append((_line_of(text, document, each["loc"]), f"{name}: {what}"))
        lines = [f"line {line}: {what}" for line, what in sorted(faults)]
        raise ValueError("\n".join(lines)) from None


def _line_of(text: str, document: Mapping[str, Any], path: Sequence[str | int]) -> int:
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


def _reaches(value: Any, path: Sequence[str | int]) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


# --- costs ---------------------------------------------------------------------------------------


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
