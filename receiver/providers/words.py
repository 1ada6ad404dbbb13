"""Cleans ids and texts of a provider for storing and for showing them to users."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from receiver.domain.documents import MESSAGE_CHARACTERS, PROVIDER_STATUS_CHARACTERS
from receiver.providers.calls import MIN_SECRET
from receiver.providers.lenient_json import clean, clean_text
from store.records.jobs import Status

ID_CHARACTERS = 200

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
        return for_people(text)[:MESSAGE_CHARACTERS]
    return None


def read_word(word: Any) -> str | None:
    """The provider's own word for a status."""
    if isinstance(word, str) and word.strip():
        return clean_text(word)[:PROVIDER_STATUS_CHARACTERS]
    return None


def read_status(word: Any, meanings: Mapping[str, Status]) -> Status | None:
    """What the provider's own word for a status means, by its upper-case form; `IN_PROGRESS` if it
    is unknown, None if it is not a word."""
    if isinstance(word, str) and word.strip():
        return meanings.get(word.strip().upper(), Status.IN_PROGRESS)
    return None


def read_plain_text(text: str) -> str | None:
    """The message in an answer that is not JSON; None if it is HTML, broken JSON or binary.

    The content decides, not the declared type: frameworks send plain text as `text/html`. A NUL
    counts as binary, and decoded bytes never contain a lone surrogate.
    """
    if _NOT_FOR_PEOPLE.search(text):
        return None
    return for_people(text.strip())[:MESSAGE_CHARACTERS] or None


def for_people(text: str, secret: str = "") -> str:
    """`text` as users may see it: the token of a callback URL and `secret` (the operator's key) are
    replaced by "…"."""
    text = clean_text(text)
    if "job_" in text:
        text = _CALLBACK_TOKEN.sub("…", text)
    if len(secret) >= MIN_SECRET and secret in text:
        text = text.replace(secret, "…")
    return text


def clean_for_people(value: Any, secret: str = "") -> Any:
    """A cleaned JSON value, with `for_people` applied to each string and member name."""
    return clean(value, partial(for_people, secret=secret))
