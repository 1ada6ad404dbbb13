"""Reads values from a provider's JSON leniently, and cleans them to be stored and shown to users.

What a database, an event stream or a signed body cannot represent is replaced here, once. Requests
of our own users are not read so leniently: they get an error.
"""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import structlog

from receiver.domain.answers import Report
from receiver.domain.prices import read_number
from receiver.json_text import MAX_DEPTH
from store.records.jobs import Status

ID_CHARACTERS = 200
MESSAGE_CHARACTERS = 8_192
PROVIDER_STATUS_CHARACTERS = 64
MAX_NUMBERS = 32
MIN_SECRET = 8
"""A secret with fewer characters is not redacted: it would match by chance."""

log = structlog.get_logger()

_NO_TEXT = re.compile("[\x00\ud800-\udfff]")

# A provider may quote the callback URL to users. Its token is secret (`receiver.signed_text`).
_CALLBACK_TOKEN = re.compile(r"job_[0-9A-Z]{26}\.[A-Za-z0-9_-]{43}")


def read_id(value: Any) -> str | None:
    """An id as text of 1 to 200 characters; None if it is not a valid id."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    is_id = isinstance(value, str) and value.strip() and len(value) <= ID_CHARACTERS
    return clean_text(value) if is_id else None


def read_measured(name: str, value: Any, *kinds: type) -> dict[str, Decimal]:
    """What a provider measured, by its name in price lists; empty if it reported none, or no number
    of at least 0. `kinds` are the types in which it reports this."""
    if value is None:
        return {}
    with suppress(ValueError):
        number = read_number(value) if isinstance(value, kinds) else None
        if number is not None and number >= 0:
            return {name: number}
    log.warning("a measured value is no number of at least 0", name=name, value=repr(value)[:64])
    return {}


def first_text(*values: Any) -> str | None:
    """The first of the values that is a text and not blank; not cleaned."""
    return next((value for value in values if isinstance(value, str) and value.strip()), None)


def read_status(word: Any, meanings: Mapping[str, Status]) -> Status | None:
    """Our status for the provider's word, which `meanings` has in upper case; `IN_PROGRESS` if it
    is unknown, None if it is not a word."""
    text = first_text(word)
    return None if text is None else meanings.get(text.strip().upper(), Status.IN_PROGRESS)


def clean_report(report: Report, secret: str) -> Report:
    """The report as it may be stored and shown: its texts redacted and truncated, its result
    cleaned and redacted."""
    word = report.provider_status
    return replace(
        report,
        provider_status=word and redact(word, secret)[:PROVIDER_STATUS_CHARACTERS],
        message=report.message and clean_message(report.message, secret),
        result=clean(report.result, partial(redact, secret=secret)),
        details=clean(report.details, partial(redact, secret=secret)),
    )


def read_texts(body: Mapping[str, Any], *names: str) -> dict[str, str]:
    """The members with these names that are texts. Of a long one, only the end is kept: that of a
    log says most."""
    given = {name: body.get(name) for name in names}
    return {
        name: text[-MESSAGE_CHARACTERS:] for name, text in given.items() if isinstance(text, str)
    }


def read_numbers(value: Any) -> dict[str, float]:
    """The numbers in an object, if it is one; at most 32."""
    members = value.items() if isinstance(value, dict) else ()
    found = [(name, each) for name, each in members if type(each) in (int, float)]
    return dict(found[:MAX_NUMBERS])


def clean_message(text: str, secret: str) -> str:
    """A message to users, redacted and truncated."""
    return redact(text, secret)[:MESSAGE_CHARACTERS]


def redact(text: str, secret: str) -> str:
    """`text` as users may see it: the token of a callback URL and `secret` (the operator's key) are
    replaced by "…"."""
    text = clean_text(text)
    if "job_" in text:
        text = _CALLBACK_TOKEN.sub("…", text)
    return text.replace(secret, "…") if len(secret) >= MIN_SECRET else text


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
            # Results of megabytes are lists of numbers.
            return [i if type(i) is int else clean(i, text, levels - 1) for i in value]
        case _:
            return None
