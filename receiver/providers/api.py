"""Makes calls and classifies their answers (`domain.answers`), by rules for all providers.

Each provider's own file chooses the paths and reads the bodies. A submission is sent again only if
the provider certainly did not accept it: no byte was sent, or the answer was 429, or 503 with
`Retry-After`.
"""

import math
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from receiver.clock import Clock
from receiver.domain.answers import (
    Report,
    StatusAnswer,
    StatusMissing,
    StatusReport,
    StatusUnavailable,
    SubmitAccepted,
    SubmitAmbiguous,
    SubmitAnswer,
    SubmitNotSent,
    SubmitRefused,
)
from receiver.domain.observations import CancelAnswer
from receiver.domain.retry_after import read_retry_after
from receiver.providers.calls import Answer, HttpClient, NoAnswer
from receiver.providers.parsing import clean_and_redact, read_plain_text
from store.records.times import Millis

GOOD: Final = range(200, 300)

_USABLE_URL: Final = re.compile(r"[!-~]{1,2048}")


@dataclass(frozen=True, slots=True)
class Account:
    """What every provider is created from. Timeouts are in seconds."""

    name: str
    """The provider's name in URLs and settings."""
    base_url: str
    """Paths are appended to it."""
    key: str = field(repr=False)
    """The operator's key. It is redacted in messages and results, unless it is very short
    (`parsing.MIN_SECRET`)."""
    clock: Clock
    """For `Retry-After` dates, the age of signatures and keys, and the time limit of a look-up."""
    submit_timeout: float = 60.0
    """For a submission, from connecting to the last byte."""
    status_timeout: float = 15.0
    """For every other call about a job, likewise."""
    tls: ssl.SSLContext | None = None
    """See `HttpClient`."""


class Api(HttpClient):
    """Makes the calls of one provider, and classifies their answers."""

    def __init__(
        self,
        account: Account,
        headers: Mapping[str, str],
        read_message: Callable[[Mapping[str, Any]], str | None],
    ) -> None:
        """`headers` are sent with every call. `read_message` extracts the provider's human-readable
        message from an answer's body."""
        super().__init__(account.base_url, headers, account.tls)
        self._account = account
        self._read_message = read_message

    async def submit(
        self,
        path: str,
        body: Mapping[str, Any],
        read_id: Callable[[Mapping[str, Any]], str | None],
        read_urls: Callable[[Mapping[str, Any]], Mapping[str, str] | None] = lambda _: None,
    ) -> SubmitAnswer:
        """Send a submission once. `read_id` and `read_urls` read the members of `SubmitAccepted`
        from the body of a 2xx answer."""
        timeout = self._account.submit_timeout
        try:
            answer = await self.send_once("POST", path, body, timeout)
        except NoAnswer as error:
            if error.may_have_arrived:
                return SubmitAmbiguous(str(error))
            return SubmitNotSent(str(error))
        code, retry_after = answer.status_code, self._retry_after(answer)
        if code == 429 or (code == 503 and retry_after is not None):
            message = await self.error_message(answer)
            return SubmitNotSent(message, retry_after, status_code=code)
        if 400 <= code < 500:
            return SubmitRefused(code, await self.error_message(answer))
        if code not in GOOD:
            return SubmitAmbiguous(await self.error_message(answer))
        if answer.body is None:
            return SubmitAmbiguous(f"a {code} answer that {answer.flaw}")
        provider_id = read_id(answer.body)
        if provider_id is None:
            return SubmitAmbiguous(f"a {code} answer without a job id")
        return SubmitAccepted(provider_id, read_urls(answer.body))

    async def status(self, path: str, read: Callable[[Mapping[str, Any]], Report]) -> StatusAnswer:
        """Make a status call. `read` reads the body of a 2xx answer."""
        try:
            answer = await self.ask(path, self._account.status_timeout)
        except NoAnswer as error:
            return StatusUnavailable(str(error))
        code, retry_after = answer.status_code, self._retry_after(answer)
        if code == 404:
            return StatusMissing(retry_after, is_json=answer.body is not None)
        if code not in GOOD:
            return await self.unavailable(answer)
        if answer.body is None:
            return await self.unavailable(answer, f"a {code} answer that {answer.flaw}")
        report = await answer.read(read)
        if report.status is None and report.progress is None and report.result is None:
            return await self.unavailable(answer, f"a {code} answer without the job's status")
        return StatusReport(report, retry_after)

    async def cancel(self, path: str, method: str = "POST") -> CancelAnswer:
        """Send a cancel request once."""
        try:
            answer = await self.send_once(method, path, None, self._account.status_timeout)
        except NoAnswer as error:
            return CancelAnswer("unavailable", message=str(error))
        code = answer.status_code
        if code in GOOD:
            return CancelAnswer("accepted", code)
        outcome = "refused" if 400 <= code < 500 and code != 429 else "unavailable"
        return CancelAnswer(outcome, code, await self.error_message(answer))

    def same_origin_path(self, url: Any) -> str | None:
        """Path and query of a URL in an answer; None if it is not a usable URL with the scheme,
        host and port of the base URL: the operator's key must not be sent to other hosts."""
        if not isinstance(url, str) or not _USABLE_URL.fullmatch(url):
            return None
        try:
            given = httpx.URL(url)
        except httpx.InvalidURL:
            return None
        is_own = (given.scheme, given.netloc) == (self._base.scheme, self._base.netloc)
        return given.raw_path.decode("ascii") if is_own and not given.userinfo else None

    async def error_message(self, answer: Answer) -> str:
        """The provider's own message, or one with the status code."""
        key = self._account.key

        def read(value: Any) -> str | None:
            if isinstance(value, dict):
                return self._read_message(clean_and_redact(value, key))
            return None if answer.text is None else read_plain_text(answer.text, key)

        return await answer.read(read) or f"The provider answered {answer.status_code}."

    async def unavailable(self, answer: Answer, reason: str | None = None) -> StatusUnavailable:
        """Classify an answer without the job's status. The reason is the provider's own message if
        none is given."""
        code = answer.status_code
        return StatusUnavailable(
            reason or await self.error_message(answer),
            self._retry_after(answer),
            credentials_refused=code in (401, 403),
            only_this_job=code < 500 and code not in (401, 403, 429) and not answer.broke_off,
        )

    def _retry_after(self, answer: Answer) -> Millis | None:
        """The requested delay in ms: from the header, or from `retry_after` in a 429's body."""
        now = self._account.clock.now()
        delay = read_retry_after(answer.retry_after, now)
        if delay is not None or answer.status_code != 429 or answer.body is None:
            return delay
        given = answer.body.get("retry_after")
        if isinstance(given, float):
            given = math.ceil(given)
        return read_retry_after(str(given), now) if isinstance(given, int | str) else None
