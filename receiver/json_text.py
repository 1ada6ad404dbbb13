"""JSON from outside, with the bounds that both our users' and a provider's must keep."""

import codecs
import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Arrays and objects inside each other; `[]` is one."""


class UnreadableJson(ValueError):
    """No JSON, or JSON with NaN, Infinity, too much depth or a number beyond all bounds.

    The text says which, and where; it holds nothing of the JSON itself.
    """


def decode(raw: bytes | bytearray) -> str:
    """The text that `raw` holds, U+FFFD for what is no UTF-8, and without a byte order mark.

    (As Python's codec `utf-8-sig` has it, which is itself written in Python.)
    """
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")


def parse(text: str) -> Any:
    """The value that `text` holds. Lone surrogates are let through: what they mean is the caller's.

    Raises:
        UnreadableJson: see there.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise UnreadableJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise UnreadableJson(f"nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise UnreadableJson(str(error)) from error
    # A text without so many brackets cannot nest so deep, and most have few.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _refuse_depth(value)
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    # "1e309" is infinity to float(), and no decoder asks `parse_constant` about it.
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _whole(digits: str) -> int:
    # int() raises for more than 4,300 digits too, with a text about interpreter settings.
    if len(digits) > 4_000:
        raise ValueError("a number is too large")
    return int(digits)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)


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
