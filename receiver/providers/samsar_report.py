"""What Samsar says of a job: one lenient reading of callbacks, status answers and refusals.

Its shapes have changed more than once, and are told apart by nothing. So every name under which a
thing was ever seen is looked at, what is there in the wrong type counts as absent, and nothing that
it can send makes these functions raise.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from receiver.domain.observations import Report
from receiver.providers.lenient_json import clean, clean_text
from store.records import Status

ID_CHARACTERS = 200

_WORDS = {
    "PENDING": Status.PENDING,
    "IN_PROGRESS": Status.IN_PROGRESS,
    "COMPLETED": Status.COMPLETED,
    "FAILED": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
    "CANCELED": Status.CANCELLED,
}

# Spaces inside are let through, since storage links have them. Control characters are not, since a
# link ends up in a Location header, nor is what only stands where such a one was taken out.
_LINK = re.compile(r"https?://[^\s/?#\x00-\x1f\x7f\ufffd][^\x00-\x1f\x7f\ufffd]*", re.IGNORECASE)


# How markup and objects begin, and what only binary data or another encoding has anywhere.
_NOT_FOR_PEOPLE = re.compile(r"\A\s*[<{]|[\x00-\x08\x0e-\x1f]")


def read_report(body: Mapping[str, Any]) -> Report:
    """What `body` says, a callback's or a status answer's."""
    word = _word(body.get("status"))
    return Report(
        status=None if word is None else _WORDS.get(word.strip().upper(), Status.IN_PROGRESS),
        word=word,
        progress=_progress(body.get("progress")),
        result=_result(body),
        message=read_message(body),
        provider_request_id=read_request_id(body),
    )


def read_request_id(body: Mapping[str, Any]) -> str | None:
    """The id that `body` names, as text of 1 to 200 characters.

    `session_id` counts only where there is no `request_id`; seen together, they were the same.
    """
    named = body.get("request_id")
    if named is None:
        named = body.get("session_id")
    match named:
        case str() if named.strip() and len(named) <= ID_CHARACTERS:
            return clean_text(named)
        case bool():
            return None
        # Python refuses to write an integer of thousands of digits: look at its size before.
        case int() if named.bit_length() < 4 * ID_CHARACTERS:
            digits = str(named)
            return digits if len(digits) <= ID_CHARACTERS else None
        case _:
            return None


def read_message(body: Mapping[str, Any]) -> str | None:
    """The provider's text for people, of success or failure."""
    error = body.get("error")
    inner = error.get("message") if isinstance(error, Mapping) else None
    for text in (body.get("message"), inner, error, body.get("expressGenerationError")):
        if isinstance(text, str) and text.strip():
            return clean_text(text)
    return None


def read_plain_text(text: str) -> str | None:
    """The words of an answer that is no JSON; None where it is HTML, broken JSON or binary.

    Its looks decide, not its declared type: frameworks send plain words as `text/html`. Decoded
    bytes hold no lone surrogate, and a NUL is binary: there is nothing else to clean.
    """
    if _NOT_FOR_PEOPLE.search(text):
        return None
    return text.strip() or None


def _word(status: Any) -> str | None:
    return clean_text(status) if isinstance(status, str) and status.strip() else None


def _progress(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= 100 else None  # NaN fails both


def _result(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """What it gave as `result`, with `videoUrl` in it exactly when there is a link."""
    safe: dict[str, Any] = clean(dict(body))
    given = safe.get("result")
    result: dict[str, Any] = given if isinstance(given, dict) else {}
    link = _first_link(result, safe)
    result.pop("videoUrl", None)
    if link is not None:
        result["videoUrl"] = link
    return result or None


def _first_link(*places: Mapping[str, Any]) -> str | None:
    for place in places:
        for candidate in _candidates(place):
            if isinstance(candidate, str) and _LINK.fullmatch(link := candidate.strip()):
                return link
    return None


def _candidates(place: Mapping[str, Any]) -> Iterator[Any]:
    yield place.get("videoUrl")
    yield place.get("result_url")
    urls = place.get("result_urls")
    yield from urls if isinstance(urls, list) else ()
    video = place.get("video")
    yield video.get("url") if isinstance(video, Mapping) else None
    for name in ("url", "video_link", "videoLink", "remoteURL"):
        yield place.get(name)
