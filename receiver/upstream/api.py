"""Makes calls and classifies their answers (`domain.answers`), by rules for all providers.

Each provider's own file chooses the paths and reads the bodies. A submission is sent again only if
the provider certainly did not accept it: no byte was sent, or the answer was 429, or 503 with
`Retry-After`.
"""

import json
import math
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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
from receiver.net.retry_after import read_retry_after
from receiver.upstream.calls import HttpClient, NoAnswer, Response
from receiver.upstream.parsing import clean_message, first_text
from store.records.times import Millis

SUCCESS: Final = range(200, 300)

_PATH: Final = re.compile(r"/[!\"$-~]{0,2047}")
"""Path and query: visible ASCII without a fragment."""


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
    """For `Retry-After` dates, and the age of signatures and keys."""
    submit_timeout: float = 60.0
    """For a submission, from connecting to the last byte."""
    status_timeout: float = 15.0
    """For every other call about a job, likewise."""
    tls: ssl.SSLContext | None = None
    """See `HttpClient`."""


def with_input(input_json: str, beside: Mapping[str, Any]) -> bytes:
    """The JSON object with the input, and these members beside it."""
    return f'{{"input":{input_json},{json.dumps(beside)[1:]}'.encode("ascii")


class Api(HttpClient):
    """Makes the calls of one provider, and classifies their answers."""

    def __init__(
        self,
        account: Account,
        headers: Mapping[str, str],
        read_message: Callable[[Mapping[str, Any]], str | None],
    ) -> None:
        """`headers` are sent with every call. `read_message` finds the provider's human-readable
        message in the body of an error."""
        super().__init__(account.base_url, headers, account.tls)
        self._account = account
        self._read_message = read_message

    async def submit(
        self,
        path: str,
        body: bytes,
        read_id: Callable[[Mapping[str, Any]], str | None],
        read_urls: Callable[[Mapping[str, Any]], Mapping[str, str] | None] = lambda _: None,
    ) -> SubmitAnswer:
        """Send a submission once; `body` is JSON. `read_id` and `read_urls` read the members of
        `SubmitAccepted` from the body of a 2xx answer."""

        def classify(response: Response) -> SubmitAnswer:
            code, retry_after = response.status_code, self._retry_after(response)
            if code == 429 or (code == 503 and retry_after is not None):
                return SubmitNotSent(self.error_message(response), retry_after, status_code=code)
            if 400 <= code < 500 and code != 408:  # after a timeout it may still be accepted
                return SubmitRefused(code, self.error_message(response))
            if code not in SUCCESS:
                return SubmitAmbiguous(self.error_message(response))
            if response.body is None:
                return SubmitAmbiguous(f"a {code} answer that {response.body_error}")
            provider_id = read_id(response.body)
            if provider_id is None:
                return SubmitAmbiguous(f"a {code} answer without a job id")
            return SubmitAccepted(provider_id, read_urls(response.body))

        timeout = self._account.submit_timeout
        try:
            return await self.send_once("POST", path, body, timeout, classify)
        except NoAnswer as error:
            if error.may_have_arrived:
                return SubmitAmbiguous(str(error))
            return SubmitNotSent(str(error))

    async def status(self, path: str, read: Callable[[Mapping[str, Any]], Report]) -> StatusAnswer:
        """Make a status call. `read` reads the body of a 2xx answer."""

        def classify(response: Response) -> StatusAnswer:
            if response.status_code == 404:
                return StatusMissing(self._retry_after(response), is_json=response.body is not None)
            if response.status_code not in SUCCESS or response.body is None:
                return self.unavailable(response)
            report = read(response.body)
            if report.status is None and report.progress is None and report.result is None:
                return self.unavailable(response, "without the job's status")
            return StatusReport(report, self._retry_after(response))

        try:
            return await self.ask(path, self._account.status_timeout, classify)
        except NoAnswer as error:
            return StatusUnavailable(str(error))

    async def cancel(self, path: str, method: str = "POST") -> CancelAnswer:
        """Send a cancel request once."""

        def classify(response: Response) -> CancelAnswer:
            code = response.status_code
            if code in SUCCESS:
                return CancelAnswer("accepted", code)
            outcome = "refused" if 400 <= code < 500 and code != 429 else "unavailable"
            return CancelAnswer(outcome, code, self.error_message(response))

        try:
            return await self.send_once(method, path, None, self._account.status_timeout, classify)
        except NoAnswer as error:
            outcome = "unavailable" if error.may_have_arrived else "not_sent"
            return CancelAnswer(outcome, message=str(error))

    def same_origin_path(self, url: Any) -> str | None:
        """Path and query of a URL in an answer; None if it does not begin with the scheme, host and
        port of the base URL: the operator's key must not be sent to other hosts."""
        origin = str(self._base.copy_with(raw_path=b"/")).removesuffix("/")
        path = url.removeprefix(origin) if isinstance(url, str) else ""
        return path if path != url and _PATH.fullmatch(path) else None

    def error_message(self, response: Response) -> str:
        """The provider's own message, or one with the status code."""
        body = response.body
        said = first_text(response.text) if body is None else self._read_message(body)
        message = said and clean_message(said.strip(), self._account.key)
        return message or f"The provider answered {response.status_code}."

    def unavailable(self, response: Response, problem: str | None = None) -> StatusUnavailable:
        """Classify a response without the job's status. `problem` says what is wrong with it, for
        "an answer …"; by default, what is wrong with its body, or the provider's own message."""
        code = response.status_code
        if problem is None and code in SUCCESS:
            problem = f"that {response.body_error}"
        return StatusUnavailable(
            f"a {code} answer {problem}" if problem else self.error_message(response),
            self._retry_after(response),
            credentials_refused=code in (401, 403),
            only_this_job=not (code >= 500 or code in (401, 403, 429) or response.was_cut_off),
        )

    def _retry_after(self, response: Response) -> Millis | None:
        """The requested delay in ms: from the header, or from `retry_after` in a 429's body."""
        now = self._account.clock.now()
        delay = read_retry_after(response.headers.get("retry-after"), now)
        if delay is not None or response.status_code != 429 or response.body is None:
            return delay
        given = response.body.get("retry_after")
        seconds = math.ceil(given) if isinstance(given, float) else given
        return read_retry_after(str(seconds), now) if isinstance(seconds, int | str) else None
