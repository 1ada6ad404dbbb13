"""Samsar's video API (as of February 2025).

The shape of its callbacks, status answers and errors has changed more than once, and has no version
number. So every known name of a value is tried, a value of the wrong type counts as absent, and no
input makes a reader raise. Texts are cleaned and truncated; the raw callback keeps the whole.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from receiver.domain.answers import Report, StatusAnswer, SubmitAnswer
from receiver.domain.results import LONGEST_LINK
from receiver.providers.samsar.rules import KINDS, InputRules, with_lines
from receiver.upstream import parsing
from receiver.upstream.api import Account, Api, with_input
from receiver.upstream.contract import InputFault, Provider, UpstreamJob
from store.records.jobs import Status

# Our status words are the provider's own.
_STATUSES: Final = {**Status.__members__, "CANCELED": Status.CANCELLED}

# The members that may have the link, in order of preference.
_LINK_NAMES: Final = (
    "videoUrl",
    "result_url",
    "result_urls",
    "video",
    "url",
    "video_link",
    "videoLink",
    "remoteURL",
)

# Spaces are allowed, since storage links have them. Control characters are not, since a link ends
# up in a Location header; nor are characters that cannot be kept.
_LINK = re.compile(
    r"https?://[^\s/?#\x00-\x1f\x7f\ud800-\udfff\ufffd][^\x00-\x1f\x7f\ud800-\udfff\ufffd]*",
    re.IGNORECASE,
)


class Samsar(Provider):
    """The provider `samsar`, or under another name, any service with the same API."""

    absent_job = UpstreamJob("0" * 24, "create_movie", {})

    def __init__(
        self, account: Account, rules: InputRules, *, auth_header: str = "API-KEY"
    ) -> None:
        """Does no I/O. The key is sent in `auth_header`, as `Bearer KEY` if that is
        `Authorization`."""
        self.name = account.name
        self._key = key = account.key
        self._rules = rules
        bearer = auth_header.lower() == "authorization"
        self._api = Api(account, {auth_header: f"Bearer {key}" if bearer else key}, read_message)

    @staticmethod
    def check_kind(kind: str) -> str | None:
        return None if kind in KINDS else f"kind must be one of {', '.join(KINDS)}."

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """The errors in `input`; the first is the one that the provider would report."""
        return self._rules.faults(kind, body_input)

    async def submit(
        self, kind: str, input_json: str, callback_url: str, reference: str
    ) -> SubmitAnswer:
        if kind == "create_narrative":
            input_json = await asyncio.to_thread(with_lines, input_json)
        body = with_input(input_json, {"webhookUrl": callback_url})
        return await self._api.submit(kind, body, read_request_id)

    async def status(self, job: UpstreamJob) -> StatusAnswer:
        """Read a job's status. An answer that names another job says nothing about this one."""

        def read(body: Mapping[str, Any]) -> Report:
            is_another = parsing.read_id(body.get("request_id")) not in (None, job.id)
            return Report() if is_another else self.read(body)

        return await self._api.status(f"status?{urlencode({'request_id': job.id})}", read)

    def read(self, body: Mapping[str, Any]) -> Report:
        return read_report(body, self._key)

    async def close(self) -> None:
        await self._api.close()


def read_report(body: Mapping[str, Any], secret: str = "") -> Report:
    """Read the body of a callback or a status answer; `secret` is redacted in its texts."""
    report = Report(
        status=parsing.read_status(body.get("status"), _STATUSES),
        provider_status=parsing.first_text(body.get("status")),
        progress=_progress(body.get("progress")),
        result=_result(body),
        message=read_message(body),
        provider_request_id=read_request_id(body),
    )
    return parsing.clean_report(report, secret)


def read_request_id(body: Mapping[str, Any]) -> str | None:
    """The id in `body`, as text of 1 to 200 characters.

    `session_id` is used only if there is no `request_id`; when both were seen, they were equal.
    """
    named = body.get("request_id")
    return parsing.read_id(body.get("session_id") if named is None else named)


def read_message(body: Mapping[str, Any]) -> str | None:
    """The provider's human-readable message, of success or failure."""
    error = body.get("error")
    inner = error.get("message") if isinstance(error, Mapping) else None
    return parsing.first_text(body.get("message"), inner, error, body.get("expressGenerationError"))


def _progress(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= 100 else None  # NaN fails both


def _result(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The provider's `result` with `videoUrl` added; None if there is no link. Links outside
    `result` are added to it, unless it has one of the same name."""
    result: Any = body.get("result")
    if isinstance(result, str | list):
        result = {"result_urls" if isinstance(result, list) else "videoUrl": result}
    result = dict(result) if isinstance(result, dict) else {}
    for name in _LINK_NAMES:
        if (value := body.get(name)) and _link({name: result.get(name)}) is None:
            result[name] = value
    link = _link(result)
    result.pop("videoUrl", None)
    return None if link is None else {**result, "videoUrl": link}


def _link(part: Mapping[str, Any]) -> str | None:
    texts = (text.strip() for text in _candidates(part) if isinstance(text, str))
    links = (text for text in texts if len(text) <= LONGEST_LINK and _LINK.fullmatch(text))
    return next(links, None)


def _candidates(part: Mapping[str, Any]) -> Iterator[Any]:
    for name in _LINK_NAMES:
        value = part.get(name)
        if name == "video" and isinstance(value, dict):
            value = value.get("url")
        yield from value if name == "result_urls" and isinstance(value, list) else [value]
