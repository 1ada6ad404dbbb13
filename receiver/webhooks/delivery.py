"""Sends one POST to a user's webhook URL.

Each attempt opens a new connection: a kept one that its host closes would cost an attempt of the
schedule. And this way the address is checked at every attempt.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum

from receiver.clock import Clock
from receiver.domain.retry_after import read_retry_after
from receiver.http_client import AnswerTooLong, BadAnswer, default_tls
from receiver.webhooks.network import connect_checked
from receiver.webhooks.resolver import NoAddress
from receiver.webhooks.targets import IPAddress, IPNetwork, Target, TargetRefused, check_url
from store.records import Millis

LONGEST_ANSWER = 64 * 1024
"""Maximum number of bytes read of one response, including its head."""

EXCERPT = 200
"""Maximum number of characters of a response body that are kept."""

LONGEST_EXCERPT = 4 * EXCERPT
"""Bytes read for them."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one POST. With a status code there is no error: the status line decides."""

    status_code: int | None
    error: str | None
    """Why there was no status: `no_address`, `refused_target: …` (with the reason),
    `connect_failed`, `tls_failed`, `timeout`, `reset`, `bad_answer` (not HTTP, or closed without an
    answer) or `answer_too_long` (the head alone). `unexpected: …` names any other exception."""
    duration_ms: Millis
    retry_after_ms: Millis | None
    """The delay that the response asks for; at most a day."""
    response_excerpt: bytes
    """The first bytes of the response body, at most `LONGEST_EXCERPT`."""
    connect_failure: bool
    """No connection was established (no address, refused, TLS failed, or a timeout before that). A
    refused target does not count: it says nothing about the host's health."""

    @property
    def excerpt(self) -> str | None:
        """The first characters of the body; None if there are none."""
        # Databases do not accept NUL in text.
        text = self.response_excerpt.decode("utf-8", "replace").replace("\0", "\ufffd")
        return text[:EXCERPT] or None


class WebhookSender:
    """Delivers messages. It keeps nothing open between attempts; the caller limits concurrency."""

    def __init__(
        self,
        resolve: Callable[[str], Awaitable[Sequence[IPAddress]]],
        clock: Clock,
        *,
        allow_http: bool = False,
        allow_nets: Sequence[IPNetwork] = (),
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`resolve` returns a name's addresses, at least one, or raises `NoAddress` (see
        `Resolver`). `allow_http` and `allow_nets` are as for `check_url`. `ssl_context` defaults to
        trusting the CAs of the system and certifi."""
        self._clock = clock
        self._allow_http = allow_http
        self._allow_nets = allow_nets
        self._resolve = resolve
        self._ssl_context = ssl_context or default_tls()

    async def deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Attempt:
        """POST `body` and return the result. Raises only `asyncio.CancelledError`.

        The URL is checked again, with the current settings. Redirects are not followed and nothing
        is retried. At most `LONGEST_ANSWER` bytes of the response are read, within `timeout`.

        Args:
            headers: ASCII; `Host`, `Connection` and `Content-Length` are added.
            timeout: seconds for the whole attempt, from name lookup to the last byte.
        """
        started = self._clock.monotonic()
        answer = _Answer()
        error: str | None = None
        connect_failure = False
        try:
            async with asyncio.timeout(timeout):
                target = check_url(url, allow_http=self._allow_http, allow_nets=self._allow_nets)
                await self._post(target, headers, body, timeout, answer)
        except Exception as failure:  # noqa: BLE001 - a hostile host may make the stack raise anything
            if answer.status_code is None:
                error = _word(failure, answer.stage)
                connect_failure = not (
                    answer.stage is _Stage.EXCHANGE or isinstance(failure, TargetRefused)
                )
        return Attempt(
            status_code=answer.status_code,
            error=error,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            retry_after_ms=read_retry_after(answer.retry_after, self._clock.now()),
            response_excerpt=bytes(answer.excerpt),
            connect_failure=connect_failure,
        )

    async def _post(
        self,
        target: Target,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        answer: "_Answer",
    ) -> None:
        connection = await connect_checked(
            target, self._resolve, self._allow_nets, timeout, LONGEST_ANSWER
        )
        with closing(connection):
            if target.scheme == "https":
                answer.stage = _Stage.TLS
                await connection.start_tls(self._ssl_context, target.host)
            answer.stage = _Stage.EXCHANGE
            own = {"Host": target.authority, "Connection": "close"}
            response = await connection.request(
                "POST", target.path, {**own, **headers}.items(), body
            )
            answer.status_code = response.status
            answer.retry_after = response.header("retry-after")
            while piece := await response.read():
                answer.excerpt += piece[: LONGEST_EXCERPT - len(answer.excerpt)]


class _Stage(Enum):
    """The stage of an attempt; the value is the error if the connection fails there."""

    CONNECT = "connect_failed"
    TLS = "tls_failed"
    EXCHANGE = "reset"


@dataclass(slots=True)
class _Answer:
    """The response so far, kept even if the rest fails."""

    stage: _Stage = _Stage.CONNECT
    status_code: int | None = None
    retry_after: str | None = None
    excerpt: bytearray = field(default_factory=bytearray)


def _word(failure: Exception, stage: _Stage) -> str:
    match failure:
        case TargetRefused():
            return f"refused_target: {failure}"
        case NoAddress():
            return "no_address"
        case TimeoutError():
            return "timeout"
        case AnswerTooLong():
            return "answer_too_long"
        case BadAnswer():
            return "bad_answer"
        case OSError():
            return stage.value
        case _:
            return f"unexpected: {type(failure).__name__}"
