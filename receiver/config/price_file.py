"""The price list, a TOML file (docs/money.md)."""

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
)

from receiver.config.toml_lines import Table, parse_toml, read_toml
from receiver.config.values import one_of
from receiver.domain.prices import Price, PriceList
from store.records.costs import AMOUNT, AMOUNT_RULE, ZERO


def read_prices(file: str, measures: Mapping[str, Collection[str]]) -> PriceList:
    """Read a file; see `parse_prices`. Raises ValueError."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8") from None
    return parse_prices(text, measures)


def parse_prices(text: str, measures: Mapping[str, Collection[str]]) -> PriceList:
    """Parse a price list. `measures` names, by every provider that can stand in it, what that
    measures of a job. Raises ValueError with all faults, each with its line."""
    read = read_toml(_PriceList, text, parse_toml(text), context=measures)
    return PriceList(read.currency, tuple(Price(**each.model_dump()) for each in read.price))


def _amount(value: object) -> Decimal:
    if not isinstance(value, str) or not AMOUNT.fullmatch(value):
        raise ValueError(f'a text of {AMOUNT_RULE} is needed, as in "0.10"')
    return Decimal(value)


def _currency(text: str) -> str:
    if not re.fullmatch("[A-Z]{3}", text):
        raise ValueError("three capital letters are needed, as in USD")
    return text


def _provider(name: str, info: ValidationInfo) -> str:
    return one_of(info.context or {}, name)


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
    measured = (info.context or {}).get(provider, ())
    if provider and table.keys() - set(measured):
        raise ValueError(f"{provider} measures {', '.join(measured) or 'nothing'}")
    return table


_Amount = Annotated[Decimal, PlainValidator(_amount)]


class _Price(Table):
    provider: Annotated[str, AfterValidator(_provider)]
    kind: Annotated[str, Field(min_length=1)]
    fixed: _Amount = ZERO
    per: Annotated[dict[str, _Amount], BeforeValidator(_flat)] = Field(default_factory=dict)
    measured: Annotated[dict[str, _Amount], AfterValidator(_measurable)] = Field(
        default_factory=dict
    )


class _PriceList(Table):
    currency: Annotated[str, AfterValidator(_currency)]
    price: tuple[_Price, ...] = ()
