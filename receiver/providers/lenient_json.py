"""JSON that a provider sends: read leniently, and made safe for all that is done with it later.

A provider's text goes into a database, into event streams and into signed bodies. What one of them
cannot hold is taken out here, once. Requests of our own users are not read by this: they are told.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Arrays and objects inside each other; `[]` is one."""

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_INT64 = range(-(2**63), 2**63)


class UnreadableJson(ValueError):
    """No JSON, or JSON with NaN, Infinity, too much depth or a number beyond all bounds."""


def read_json(raw: bytes) -> Any:
    """The value that `raw` holds, as `clean` leaves it; bytes that are no UTF-8 become U+FFFD.

    Raises:
        UnreadableJson: see there.
    """
    try:
        value = _DECODER.decode(raw.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError) as error:
        raise UnreadableJson(str(error)) from error
    _refuse_depth(value)
    return clean(value)


def clean(value: Any, levels: int = MAX_DEPTH) -> Any:
    """A copy of a JSON value that every encoder, database and stream takes. Never raises.

    Lone surrogates and NUL become U+FFFD. An integer of more than 64 bits becomes a float, as it is
    for a JavaScript provider; what is no finite number and what is nested too deep becomes None.
    """
    match value:
        case str():
            return clean_text(value)
        case bool() | None:
            return value
        case int():
            return value if value in _INT64 else _as_float(value)
        case float():
            return value if math.isfinite(value) else None
        case dict() if levels > 0:
            return {clean_text(name): clean(item, levels - 1) for name, item in value.items()}
        case list() if levels > 0:
            return [clean(item, levels - 1) for item in value]
        case _:
            return None


def clean_text(text: str) -> str:
    """`text` with U+FFFD for each lone surrogate and NUL."""
    return _NO_TEXT.sub("\ufffd", text)


def _as_float(number: int) -> float | None:
    try:
        return float(number)
    except OverflowError:
        return None


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    # "1e309" is infinity to float(), and no decoder asks `parse_constant` about it.
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_depth(value: Any) -> None:
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [
            item for outer in layer for item in _members(outer) if isinstance(item, dict | list)
        ]
        if not layer:
            return
    raise UnreadableJson(f"nested deeper than {MAX_DEPTH}")


def _members(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()
