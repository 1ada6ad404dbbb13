"""Makes calls and classifies their answers (`domain.answers`), by rules for all providers.

Each provider's own file chooses the paths and reads the bodies. A submission is sent again only if
the provider certainly did not accept it: no byte was sent, or the answer was 429, or 503 with
`Retry-After`.
"""

import json
import math
import re
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
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
from receiver.net.retry_after import read_retry_after
from receiver.upstream.calls import HttpClient, NoAnswer, Response
from receiver.upstream.parsing import clean_message, first_text
from store.records.times import Millis

SUCCESS: Final = range(200, 300)

_PATH: Final = re.compile(r"/[!\"$-~]{0,2047}")
"""Path and query: visible ASCII without a fragment."""
_URL: Final = re.compile(r"https?://[!\"$-~]{1,2048}")


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
        *,
        read_delay: Callable[[Mapping[str, Any]], Any] = lambda body: body.get("retry_after"),
        counts_as: Callable[[Mapping[str, Any]], int | None] = lambda _: None,
        hosts: Collection[str] = (),
        new_headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Does no I/O.

        Args:
            headers: sent with every call.
            read_message: finds the provider's human-readable message in the body of an error.
            read_delay: finds in the body of a 429 after how many seconds to try again.
            counts_as: says for which status the body of a 2xx answer stands, if it is an error.
            hosts: other origins to which the key may be sent, in lower case; `*.` in front of a
                name stands for all hosts below it.
            new_headers: as in `HttpClient`.
        """
        super().__init__(account.base_url, headers, account.tls, new_headers)
        self._account = account
        self._read_message = read_message
        self._read_delay = read_delay
        self._counts_as = counts_as
        self._hosts = hosts

    async def submit(
        self,
        path: str,
        body: bytes,
        read_id: Callable[[Mapping[str, Any]], str | None],
        read_urls: Callable[[Mapping[str, Any]], Mapping[str, str] | None] = lambda _: None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] = {},
    ) -> SubmitAnswer:
        """Send a submission once; `body` is JSON, unless `headers` say otherwise. `read_id` and
        `read_urls` read the members of `SubmitAccepted` from the body of a 2xx answer."""

        def classify(response: Response) -> SubmitAnswer:
            response = self._judged(response)
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
            return await self.send_once(method, path, body, timeout, classify, headers)
        except NoAnswer as error:
            if error.may_have_arrived:
                return SubmitAmbiguous(str(error))
            return SubmitNotSent(str(error))

    async def status(
        self,
        path: str,
        read: Callable[[Mapping[str, Any]], Report],
        *,
        method: str = "GET",
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> StatusAnswer:
        """Make a status call; `body` is JSON. `read` reads the body of a 2xx answer."""

        def classify(response: Response) -> StatusAnswer:
            response = self._judged(response)
            if response.status_code == 404:
                return StatusMissing(self._retry_after(response), is_json=response.body is not None)
            if response.status_code not in SUCCESS or response.body is None:
                return self.unavailable(response)
            report = read(response.body)
            said = (report.status, report.provider_status, report.progress, report.result)
            if all(each is None for each in said):
                return self.unavailable(response, "without the job's status")
            return StatusReport(report, self._retry_after(response))

        try:
            seconds = self._account.status_timeout if timeout is None else timeout
            return await self.ask(path, seconds, classify, method=method, body=body)
        except NoAnswer as error:
            return StatusUnavailable(str(error))

    async def cancel(
        self, path: str, method: str = "POST", body: bytes | None = None
    ) -> CancelAnswer:
        """Send a cancel request once; `body` is JSON."""

        def classify(response: Response) -> CancelAnswer:
            response = self._judged(response)
            code = response.status_code
            if code in SUCCESS:
                return CancelAnswer("accepted", code)
            outcome = "refused" if 400 <= code < 500 and code != 429 else "unavailable"
            return CancelAnswer(outcome, code, self.error_message(response))

        try:
            return await self.send_once(method, path, body, self._account.status_timeout, classify)
        except NoAnswer as error:
            outcome = "unavailable" if error.may_have_arrived else "not_sent"
            return CancelAnswer(outcome, message=str(error))

    def same_origin_path(self, url: Any) -> str | None:
        """Path and query of a URL in an answer; None if it does not begin with the scheme, host and
        port of the base URL: the operator's key must not be sent to other hosts."""
        origin = str(self._base.copy_with(raw_path=b"/")).removesuffix("/")
        path = url.removeprefix(origin) if isinstance(url, str) else ""
        return path if path != url and _PATH.fullmatch(path) else None

    def usable_address(self, url: Any) -> str | None:
        """An address in an answer as a path for calls, if the key may be sent there: as
        `same_origin_path`, or the whole of it at one of the other hosts."""
        if path := self.same_origin_path(url):
            return path
        return url if isinstance(url, str) and self._is_at_host(url) else None

    def _is_at_host(self, text: str) -> bool:
        if not _URL.fullmatch(text):
            return False
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            return False
        if url.userinfo:
            return False
        scheme, port = url.scheme, "" if url.port is None else f":{url.port}"
        parts = url.host.split(".")
        above = (f"*.{'.'.join(parts[start:])}" for start in range(1, len(parts)))
        return any(f"{scheme}://{name}{port}" in self._hosts for name in (url.host, *above))

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

    def _judged(self, response: Response) -> Response:
        """The response with the status for which its body stands."""
        if response.status_code not in SUCCESS or response.body is None:
            return response
        code = self._counts_as(response.body)
        return response if code is None else replace(response, status_code=code)

    def _retry_after(self, response: Response) -> Millis | None:
        """The requested delay in ms: from the header, or from `retry_after` in a 429's body."""
        now = self._account.clock.now()
        delay = read_retry_after(response.headers.get("retry-after"), now)
        if delay is not None or response.status_code != 429 or response.body is None:
            return delay
        given = self._read_delay(response.body)
        seconds = math.ceil(given) if isinstance(given, float) else given
        return read_retry_after(str(seconds), now) if isinstance(seconds, int | str) else None
