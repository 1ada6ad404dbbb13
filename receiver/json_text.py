"""Parses JSON from outside: requests and callbacks strictly, answers to our calls leniently."""

import codecs
import json
import math
import re
from itertools import chain, islice
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Maximum nesting of arrays and objects; `[]` counts as one."""
MAX_DIGITS = 1_000
"""Maximum length of an integer: the time to write it grows with the square of it."""

# A string, even one that does not end, or (a group) what stands before a value.
_BEFORE_A_VALUE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([,\[{])', re.DOTALL)


class UnreadableJson(ValueError):
    """Not JSON, or JSON with NaN, Infinity, a number that is too large or long, or too deep
    nesting.

    The message says what, and where if it is not JSON. It quotes nothing of the JSON except a
    constant such as NaN.
    """


class WrittenFloat(float):
    """A float that keeps the digits with which it was written: a price times it is exact."""

    __slots__ = ("text",)
    text: str


def decode(raw: bytes | bytearray) -> str:
    """Decode UTF-8: invalid bytes become U+FFFD, and a byte order mark is dropped.

    (Like Python's codec `utf-8-sig`, which is slower, being written in Python.)
    """
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")


def has_more_values(raw: bytes | bytearray, most: int) -> bool:
    """Whether it has more values than `most`, if it is JSON. The outermost is not counted, and an
    empty array or object twice."""
    if len(raw) <= most or sum(map(raw.count, b",[{")) <= most:
        return False  # almost always, and much faster
    before_values = (found for found in _BEFORE_A_VALUE.finditer(raw) if found.lastindex)
    return next(islice(before_values, most, None), None) is not None


def parse(text: str) -> Any:
    """Parse JSON. Lone surrogates are kept; the caller decides about them.

    Raises:
        UnreadableJson: it is not acceptable JSON.
    """
    value = _decoded(_STRICT, text)
    # A text with fewer brackets cannot be nested so deeply, and most have few.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _refuse_depth(value)
    return value


def parse_answer(text: str) -> Any:
    """Parse the answer to one of our calls. NaN, Infinity and numbers that are too large or
    long become None instead of an error. The depth is not limited: the caller cleans the value.

    Raises:
        UnreadableJson: it is not JSON, or nested deeper than Python's decoder can follow.
    """
    return _decoded(_LENIENT, text)


def _decoded(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise UnreadableJson(f"{what} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise UnreadableJson(f"nested deeper than {MAX_DEPTH}") from error


def _refuse_constant(word: str) -> NoReturn:
    raise UnreadableJson(f"{word} is not a JSON number")


def _finite(digits: str) -> float:
    # float() turns "1e309" into infinity, and `parse_constant` is not called for it.
    number = WrittenFloat(digits)
    if not math.isfinite(number):
        raise UnreadableJson("a number is too large")
    number.text = digits
    return number


def _finite_or_none(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise UnreadableJson(f"an integer has more than {MAX_DIGITS:,} digits")
    return int(digits)


def _whole_or_none(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)
_LENIENT = json.JSONDecoder(
    parse_constant=lambda _: None, parse_float=_finite_or_none, parse_int=_whole_or_none
)


def _refuse_depth(value: Any) -> None:
    layer: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        members = (each.values() if isinstance(each, dict) else each for each in layer)
        layer = [each for each in chain.from_iterable(members) if isinstance(each, dict | list)]
        if not layer:
            return
    raise UnreadableJson(f"nested deeper than {MAX_DEPTH}")
