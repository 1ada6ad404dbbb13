"""Lenient reading of a provider's JSON.

A provider's texts go into a database, event streams and signed bodies. Whatever one of them cannot
represent is replaced here, once. Requests of our own users are not read leniently: they get an
error.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from receiver.json_text import MAX_DEPTH, decode, parse

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def read_json(raw: bytes) -> Any:
    """Parse `raw` and `clean` the value; invalid UTF-8 becomes U+FFFD.

    Raises:
        UnreadableJson: see `receiver.json_text`.
    """
    return clean(parse(decode(raw)))


def clean_text(text: str) -> str:
    """Replace each lone surrogate and NUL by U+FFFD."""
    return _NO_TEXT.sub("\ufffd", text)


def clean(value: Any, text: Callable[[str], str] = clean_text, levels: int = MAX_DEPTH) -> Any:
    """A copy of a JSON value that every encoder, database and stream accepts. Never raises.

    `text` cleans each string and each member name. Non-finite numbers and values nested deeper than
    `levels` become None. Integers of any size are kept: a rounded seed would be a different one.
    """
    match value:
        case str():
            return text(value)
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict() if levels > 0:
            return {text(name): clean(item, text, levels - 1) for name, item in value.items()}
        case list() if levels > 0:
            return [clean(item, text, levels - 1) for item in value]
        case _:
            return None
