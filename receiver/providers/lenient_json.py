"""JSON that a provider sends: read leniently, and made safe for all that is done with it later.

A provider's text goes into a database, into event streams and into signed bodies. What one of them
cannot hold is taken out here, once. Requests of our own users are not read by this: they are told.
"""

import math
import re
from typing import Any

from receiver.json_text import MAX_DEPTH, decode, parse

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_INT64 = range(-(2**63), 2**63)


def read_json(raw: bytes) -> Any:
    """The value that `raw` holds, as `clean` leaves it; bytes that are no UTF-8 become U+FFFD.

    Raises:
        UnreadableJson: see `receiver.json_text`.
    """
    return clean(parse(decode(raw)))


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
