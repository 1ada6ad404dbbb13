"""Cleans a provider's JSON, ids and texts, for storing them and for showing them to users.

What a database, an event stream or a signed body cannot represent is replaced here, once. Requests
of our own users are not read so leniently: they get an error.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from receiver.domain.documents import MESSAGE_CHARACTERS, PROVIDER_STATUS_CHARACTERS
from receiver.json_text import MAX_DEPTH
from store.records.jobs import Status

ID_CHARACTERS = 200
MIN_SECRET = 8
"""A secret with fewer characters is not redacted: it would match by chance."""

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")

# A provider may quote the callback URL to users. Its token is secret (`receiver.signed_text`).
_CALLBACK_TOKEN = re.compile(r"job_[0-9A-Z]{26}\.[A-Za-z0-9_-]{43}")

# Markup or a JSON object at the beginning; control characters (binary data) anywhere.
_NOT_FOR_PEOPLE = re.compile(r"\A\s*[<{]|[\x00-\x08\x0e-\x1f]")


def read_id(named: Any) -> str | None:
    """An id as text of 1 to 200 characters; None if it is not a valid id."""
    match named:
        case str() if named.strip() and len(named) <= ID_CHARACTERS:
            return clean_text(named)
        case bool():
            return None
        # `str` raises for an integer of thousands of digits, so check its size first.
        case int() if named.bit_length() < 4 * ID_CHARACTERS:
            digits = str(named)
            return digits if len(digits) <= ID_CHARACTERS else None
        case _:
            return None


def read_message(text: Any) -> str | None:
    """A human-readable message; None if it is not a string, or blank."""
    if isinstance(text, str) and text.strip():
        return redact_secrets(text)[:MESSAGE_CHARACTERS]
    return None


def read_provider_status(word: Any) -> str | None:
    """The provider's own word for a status."""
    if isinstance(word, str) and word.strip():
        return clean_text(word)[:PROVIDER_STATUS_CHARACTERS]
    return None


def read_status(word: Any, meanings: Mapping[str, Status]) -> Status | None:
    """Our status for the provider's word, which `meanings` has in upper case; `IN_PROGRESS` if it
    is unknown, None if it is not a word."""
    if isinstance(word, str) and word.strip():
        return meanings.get(word.strip().upper(), Status.IN_PROGRESS)
    return None


def read_plain_text(text: str, secret: str = "") -> str | None:
    """The message in an answer that is not JSON; None if it is HTML, broken JSON or binary.
    `secret` is redacted.

    The content decides, not the declared type: frameworks send plain text as `text/html`. A NUL
    counts as binary, and decoded bytes never contain a lone surrogate.
    """
    return (
        None if _NOT_FOR_PEOPLE.search(text) else read_message(redact_secrets(text.strip(), secret))
    )


def clean_text(text: str) -> str:
    """Replace each lone surrogate and NUL by U+FFFD."""
    return _NO_TEXT.sub("\ufffd", text)


def redact_secrets(text: str, secret: str = "") -> str:
    """`text` as users may see it: the token of a callback URL and `secret` (the operator's key) are
    replaced by "…"."""
    text = clean_text(text)
    if "job_" in text:
        text = _CALLBACK_TOKEN.sub("…", text)
    if len(secret) >= MIN_SECRET and secret in text:
        text = text.replace(secret, "…")
    return text


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
            # Results of megabytes are lists of numbers.
            return [i if type(i) is int else clean(i, text, levels - 1) for i in value]
        case _:
            return None


def clean_and_redact(value: Any, secret: str = "") -> Any:
    """A cleaned JSON value, with `redact_secrets` applied to each string and member name."""
    return clean(value, partial(redact_secrets, secret=secret))
