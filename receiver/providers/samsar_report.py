"""Lenient reading of Samsar's callbacks, status answers and errors.

Their shape has changed more than once, and has no version number. So every known name of
a value is tried, a value of the wrong type counts as absent, and no input makes these functions
raise. Texts are cleaned and truncated here; the raw callback keeps the whole.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from receiver.domain.answers import Report
from receiver.providers import words
from store.records.jobs import Status

LINK_CHARACTERS = 8 * 1024
"""A longer link is ignored, since a truncated one would not work."""

_WORDS = {
    "PENDING": Status.PENDING,
    "IN_PROGRESS": Status.IN_PROGRESS,
    "COMPLETED": Status.COMPLETED,
    "FAILED": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
    "CANCELED": Status.CANCELLED,
}

# Spaces are allowed, since storage links have them. Control characters are not, since a link ends
# up in a Location header; nor is U+FFFD, which replaces them.
_LINK = re.compile(r"https?://[^\s/?#\x00-\x1f\x7f\ufffd][^\x00-\x1f\x7f\ufffd]*", re.IGNORECASE)


def read_report(body: Mapping[str, Any], secret: str = "") -> Report:
    """Read the body of a callback or a status answer; `secret` is redacted in its texts."""
    safe: dict[str, Any] = words.clean_for_people(dict(body), secret)
    return Report(
        status=read_status(body),
        word=words.read_word(safe.get("status")),
        progress=_progress(body.get("progress")),
        result=_result(safe),
        message=read_message(safe),
        # From the original body: cleaning could change an id.
        provider_request_id=read_request_id(body),
    )


def read_status(body: Mapping[str, Any]) -> Status | None:
    """The meaning of the status in `body`; None if there is none."""
    return words.read_status(body.get("status"), _WORDS)


def read_request_id(body: Mapping[str, Any]) -> str | None:
    """The id in `body`, as text of 1 to 200 characters.

    `session_id` is used only if there is no `request_id`; when both were seen, they were equal.
    """
    named = body.get("request_id")
    if named is None:
        named = body.get("session_id")
    return words.read_id(named)


def read_message(body: Mapping[str, Any]) -> str | None:
    """The provider's human-readable message, of success or failure."""
    error = body.get("error")
    inner = error.get("message") if isinstance(error, Mapping) else None
    for text in (body.get("message"), inner, error, body.get("expressGenerationError")):
        if (read := words.read_message(text)) is not None:
            return read
    return None


def _progress(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= 100 else None  # NaN fails both


def _result(safe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provider's `result` with `videoUrl` added; None if there is no link."""
    given = safe.get("result")
    result: dict[str, Any] = given if isinstance(given, dict) else {}
    link = _first_link(result, safe)
    result.pop("videoUrl", None)
    return None if link is None else {**result, "videoUrl": link}


def _first_link(*parts: Mapping[str, Any]) -> str | None:
    for part in parts:
        for candidate in _candidates(part):
            if not isinstance(candidate, str) or len(link := candidate.strip()) > LINK_CHARACTERS:
                continue
            if _LINK.fullmatch(link):
                return link
    return None


def _candidates(part: Mapping[str, Any]) -> Iterator[Any]:
    yield part.get("videoUrl")
    yield part.get("result_url")
    urls = part.get("result_urls")
    yield from urls if isinstance(urls, list) else ()
    video = part.get("video")
    yield video.get("url") if isinstance(video, Mapping) else None
    for name in ("url", "video_link", "videoLink", "remoteURL"):
        yield part.get(name)
