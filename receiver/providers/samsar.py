"""Samsar's video API (as of February 2025).

The shape of its callbacks, status answers and errors has changed more than once, and has no version
number. So every known name of a value is tried, a value of the wrong type counts as absent, and no
input makes a reader raise. Texts are cleaned and truncated; the raw callback keeps the whole.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from receiver.providers import words
from receiver.providers.api import Account, Api
from receiver.providers.contract import InputFault, Provider, UpstreamJob
from receiver.providers.samsar_input import KINDS, InputRules, upstream_input
from store.records.jobs import Status

LINK_CHARACTERS: Final = 8 * 1024
"""A longer link is ignored, since a truncated one would not work."""

_WORDS: Final = {
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


class Samsar(Provider):
    """The provider `samsar`, or under another name, any service with the same API."""

    absent_job = UpstreamJob("0" * 24, "create_movie", {})

    def __init__(
        self,
        account: Account,
        *,
        image_models: Collection[str],
        video_models: Collection[str],
        auth_header: str = "API-KEY",
    ) -> None:
        """Does no I/O. The key is sent in `auth_header`, as `Bearer KEY` if that is
        `Authorization`."""
        self.name = account.name
        self.base_url = account.base_url
        self._key = key = account.key
        self._rules = InputRules(frozenset(image_models), frozenset(video_models))
        bearer = auth_header.lower() == "authorization"
        self._api = Api(account, {auth_header: f"Bearer {key}" if bearer else key}, read_message)

    def check_kind(self, kind: str) -> str | None:
        """Valid kinds are `KINDS`."""
        return None if kind in KINDS else f"kind must be one of {', '.join(KINDS)}."

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """The errors in `input`; the first is the one that the provider would report."""
        return self._rules.faults(kind, body_input)

    async def submit(
        self, kind: str, body_input: Mapping[str, Any], callback_url: str
    ) -> SubmitAnswer:
        """Send a submission once; `body_input` has passed `check`."""
        body = {"input": upstream_input(kind, body_input), "webhookUrl": callback_url}
        return await self._api.submit(kind, body, self.read_id)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a job's status."""
        return await self._api.status(f"status?{urlencode({'request_id': job.id})}", self.read)

    def read(self, body: Mapping[str, Any]) -> Report:
        """Read the body of a callback or a status answer."""
        return read_report(body, self._key)

    def read_id(self, body: Mapping[str, Any]) -> str | None:
        """The id in a callback's body."""
        return read_request_id(body)

    def read_status(self, body: Mapping[str, Any]) -> Status | None:
        """The meaning of the status in a callback's body."""
        return words.read_status(body.get("status"), _WORDS)

    async def close(self) -> None:
        """Close the connections that are kept for status calls."""
        self._api.close()


def read_report(body: Mapping[str, Any], secret: str = "") -> Report:
    """Read the body of a callback or a status answer; `secret` is redacted in its texts."""
    safe: dict[str, Any] = words.clean_for_people(dict(body), secret)
    return Report(
        status=words.read_status(body.get("status"), _WORDS),
        word=words.read_word(safe.get("status")),
        progress=_progress(body.get("progress")),
        result=_result(safe),
        message=read_message(safe),
        # From the original body: cleaning could change an id.
        provider_request_id=read_request_id(body),
    )


def read_request_id(body: Mapping[str, Any]) -> str | None:
    """The id in `body`, as text of 1 to 200 characters.

    `session_id` is used only if there is no `request_id`; when both were seen, they were equal.
    """
    named = body.get("request_id")
    return words.read_id(body.get("session_id") if named is None else named)


def read_message(body: Mapping[str, Any]) -> str | None:
    """The provider's human-readable message, of success or failure."""
    error = body.get("error")
    inner = error.get("message") if isinstance(error, Mapping) else None
    texts = (body.get("message"), inner, error, body.get("expressGenerationError"))
    return next(filter(None, map(words.read_message, texts)), None)


def _progress(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= 100 else None  # NaN fails both


def _result(safe: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provider's `result` with `videoUrl` added; None if there is no link."""
    given = safe.get("result")
    result: dict[str, Any] = given if isinstance(given, dict) else {}
    named = (*_candidates(result), *_candidates(safe))
    texts = (text.strip() for text in named if isinstance(text, str))
    links = (text for text in texts if len(text) <= LINK_CHARACTERS and _LINK.fullmatch(text))
    link = next(links, None)
    result.pop("videoUrl", None)
    return None if link is None else {**result, "videoUrl": link}


def _candidates(part: Mapping[str, Any]) -> Iterator[Any]:
    yield part.get("videoUrl")
    yield part.get("result_url")
    urls = part.get("result_urls")
    yield from urls if isinstance(urls, list) else ()
    video = part.get("video")
    yield video.get("url") if isinstance(video, Mapping) else None
    for name in ("url", "video_link", "videoLink", "remoteURL"):
        yield part.get(name)
