"""Makes calls and turns their answers into observations, by rules that apply to all providers.

A provider's own code only names paths, and reads statuses and ids. A submission that surely did not
arrive is retried; one that may have arrived never is.
"""

import ssl
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

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
from receiver.domain.observations import CancelPassedOn
from receiver.domain.retry_after import read_retry_after
from receiver.providers.calls import LARGE_ANSWER, Calls, NoAnswer
from receiver.providers.http_answers import Answer
from receiver.providers.words import read_plain_text
from store.records.times import Millis

GOOD = range(200, 300)


@dataclass(frozen=True, slots=True)
class Account:
    """What every provider is created from. Timeouts are in seconds."""

    name: str
    """The provider's name in URLs and settings."""
    base_url: str
    """See `Calls`."""
    key: str = field(repr=False)
    """The operator's key, which is redacted in all answers."""
    clock: Clock
    """The base for a `Retry-After` date."""
    submit_timeout: float = 60.0
    """For a submission, from connecting to the last byte."""
    status_timeout: float = 15.0
    """For every other call, likewise."""
    connect_timeout: float = 10.0
    """For connecting, including TLS; part of the other two."""
    tls: ssl.SSLContext | None = None
    """See `Calls`."""


class Api:
    """Makes the calls of one provider, and turns their answers into observations."""

    def __init__(
        self,
        account: Account,
        headers: Mapping[str, str],
        read_message: Callable[[Mapping[str, Any]], str | None],
        *,
        good: Container[int] = GOOD,
        max_answer_bytes: int = LARGE_ANSWER,
    ) -> None:
        """`headers` are sent with every call. `read_message` extracts the provider's human-readable
        message from an answer's body. `good` are the status codes of a status call whose body
        reports a status."""
        self._account = account
        self._read_message = read_message
        self._good = good
        self._calls = Calls(
            account.base_url,
            headers,
            connect_timeout=account.connect_timeout,
            max_answer_bytes=max_answer_bytes,
            tls=account.tls,
        )

    async def submit(
        self,
        path: str,
        body: Mapping[str, Any],
        callback_url: str,
        read_id: Callable[[Mapping[str, Any]], str | None],
        read_urls: Callable[[Mapping[str, Any]], Mapping[str, str] | None] = lambda _: None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> SubmitAnswer:
        """Send a submission once. `read_id` and `read_urls` read the members of `SubmitAccepted`
        from the body of a 2xx answer."""
        secrets = self._account.key, callback_url.rpartition("/")[2]
        timeout = self._account.submit_timeout
        try:
            answer = await self._calls.send_once(path, body, timeout, *secrets, headers=headers)
        except NoAnswer as error:
            if error.may_have_arrived:
                return SubmitAmbiguous(str(error))
            return SubmitNotSent(str(error))
        refusal = self._refusal(answer)
        if refusal is not None:
            return refusal
        if answer.body is None:
            return SubmitAmbiguous(f"a {answer.status_code} answer that {answer.flaw}")
        provider_id = read_id(answer.body)
        if provider_id is None:
            return SubmitAmbiguous(f"a {answer.status_code} answer without a job id")
        return SubmitAccepted(provider_id, read_urls(answer.body))

    async def status(
        self,
        path: str,
        read: Callable[[Mapping[str, Any]], Report | None],
        query: Mapping[str, str] = MappingProxyType({}),
    ) -> StatusAnswer:
        """Make a status call. `read` reads the body of a good answer; it returns None if that has
        no status."""
        try:
            answer = await self.get(path, query)
        except NoAnswer as error:
            return StatusUnavailable(str(error))
        retry_after = self._retry_after(answer)
        code = answer.status_code
        if code == 404:
            return StatusMissing(self.words(answer), retry_after)
        if code not in self._good:
            return self.unavailable(answer)
        if answer.body is None:
            return StatusUnavailable(f"a {code} answer that {answer.flaw}", retry_after)
        report = read(answer.body)
        if report is None:
            return StatusUnavailable(f"a {code} answer without a status", retry_after)
        return StatusReport(report, retry_after)

    async def cancel(self, path: str, method: str = "POST") -> CancelPassedOn:
        """Send a cancel request once."""
        account = self._account
        try:
            answer = await self._calls.send_once(
                path, None, account.status_timeout, account.key, method=method
            )
        except NoAnswer as error:
            return CancelPassedOn("unavailable", message=str(error))
        code = answer.status_code
        if 200 <= code < 300:
            return CancelPassedOn("accepted", code)
        outcome = "refused" if 400 <= code < 500 and code != 429 else "unavailable"
        return CancelPassedOn(outcome, code, self.words(answer))

    async def get(
        self,
        path: str,
        query: Mapping[str, str] = MappingProxyType({}),
        timeout: float | None = None,
    ) -> Answer:
        """Make any other call. Raises NoAnswer."""
        seconds = self._account.status_timeout if timeout is None else timeout
        return await self._calls.ask(path, query, seconds, self._account.key)

    async def close(self) -> None:
        """Close the connections that are kept for status calls."""
        await self._calls.close()

    def words(self, answer: Answer) -> str:
        """The provider's own message, or one with the status code."""
        if answer.body is not None:
            message = self._read_message(answer.body)
        else:
            message = None if answer.text is None else read_plain_text(answer.text)
        return message or f"The provider answered {answer.status_code}."

    def unavailable(self, answer: Answer) -> StatusUnavailable:
        """The observation for an answer without the job's status."""
        return StatusUnavailable(
            self.words(answer),
            self._retry_after(answer),
            by_credentials=answer.status_code in (401, 403),
        )

    def _retry_after(self, answer: Answer) -> Millis | None:
        """The requested delay in ms: from the header, or from `retry_after` in a 429's body."""
        header = answer.retry_after
        if header is None and answer.status_code == 429 and answer.body is not None:
            requested = answer.body.get("retry_after")
            if isinstance(requested, int | float | str) and not isinstance(requested, bool):
                header = str(requested)[:40]
        return read_retry_after(header, self._account.clock.now())

    def _refusal(self, answer: Answer) -> SubmitRefused | SubmitNotSent | SubmitAmbiguous | None:
        """The observation for a submission's answer that is not a 2xx; None for a 2xx."""
        retry_after = self._retry_after(answer)
        match answer.status_code:
            case code if 200 <= code < 300:
                return None
            case (429 | 503) as code if code == 429 or retry_after is not None:
                return SubmitNotSent(self.words(answer), retry_after, status_code=code)
            case code if 400 <= code < 500:
                return SubmitRefused(code, self.words(answer))
            case _:
                return SubmitAmbiguous(self.words(answer))
