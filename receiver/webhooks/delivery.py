"""One POST to a user's webhook address, whatever answers there.

Each attempt has a connection of its own. A pool would save handshakes, but httpcore's (1.0.9)
loses a slot for good when a request is cancelled at the wrong moment, and running out of time is a
cancellation that any host can cause at will. A kept connection that its host closes would cost an
attempt of the schedule, too, and without one the address is checked at every attempt.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httpcore

from receiver.clock import Clock
from receiver.domain.retry_after import read_retry_after
from receiver.webhooks.network import AnswerTooLong, CheckedNetwork
from receiver.webhooks.resolver import NoAddress
from receiver.webhooks.targets import IPAddress, IPNetwork, Target, TargetRefused, check_url
from store.records import Millis

LONGEST_EXCERPT = 512
"""Bytes of an answer's body that are kept."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one POST. With a status code there is no error: the status line decides."""

    status_code: int | None
    error: str | None
    """Why there was no status: `no_address`, `refused_target: …` (in words), `connect_failed`,
    `tls_failed`, `timeout`, `reset`, `bad_answer` (not HTTP, or closed without an answer) or
    `answer_too_long` (its head alone). `unexpected: …` names an exception that has no word."""
    duration_ms: Millis
    retry_after_ms: Millis | None
    """How long the answer asks us to wait; at most a day."""
    response_excerpt: bytes
    """The first bytes of the answer's body, at most `LONGEST_EXCERPT`, as they came."""
    connect_failure: bool
    """No connection was had (no address, refused, no TLS, or none of these in time). A refused
    target is not that: it says nothing of the host's health."""


class Courier:
    """Delivers messages. It holds nothing open between attempts; how many are at once is the
    caller's to bound."""

    def __init__(
        self,
        resolve: Callable[[str], Awaitable[Sequence[IPAddress]]],
        clock: Clock,
        *,
        allow_http: bool = False,
        allow_nets: Sequence[IPNetwork] = (),
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`resolve` gives a name's addresses, at least one, or raises `NoAddress` (see `Resolver`);
        `allow_http` and `allow_nets` are those of `check_url`; `ssl_context` says whom to trust, by
        default whom the system and certifi trust."""
        self._clock = clock
        self._allow_http = allow_http
        self._allow_nets = allow_nets
        self._network = CheckedNetwork(resolve, allow_nets)
        self._ssl_context = ssl_context or httpcore.default_ssl_context()

    async def deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Attempt:
        """POST `body`, and say what came of it. Raises nothing but `asyncio.CancelledError`.

        The address is checked again, by today's settings. Nothing is followed or tried again here,
        and of the answer no more is read than `LONGEST_ANSWER` and `timeout` allow.

        Args:
            headers: ASCII; `Host`, `Connection` and `Content-Length` are added.
            timeout: seconds for all of it, from the lookup of the name to the last byte.
        """
        started = self._clock.monotonic()
        answer = _Answer()
        error: str | None = None
        connect_failure = False
        try:
            async with asyncio.timeout(timeout):
                target = check_url(url, allow_http=self._allow_http, allow_nets=self._allow_nets)
                await self._post(target, headers, body, timeout, answer)
        except Exception as failure:  # noqa: BLE001 - whatever a hostile host makes the stack raise
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
        url = httpcore.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        async with (
            httpcore.AsyncHTTPConnection(
                url.origin, self._ssl_context, network_backend=self._network
            ) as connection,
            connection.stream(
                "POST",
                url,
                headers=[
                    ("Host", target.authority),
                    ("Connection", "close"),
                    *headers.items(),
                ],
                content=body,
                extensions={"trace": answer.trace, "timeout": {"connect": timeout}},
            ) as response,
        ):
            answer.status_code = response.status
            answer.retry_after = _header(response.headers, b"retry-after")
            async for chunk in response.aiter_stream():
                answer.excerpt += chunk[: LONGEST_EXCERPT - len(answer.excerpt)]


class _Stage(Enum):
    """How far an attempt has come; the value is the word for a connection that is lost there."""

    CONNECT = "connect_failed"
    TLS = "tls_failed"
    EXCHANGE = "reset"


_STAGES = {
    "connection.start_tls.started": _Stage.TLS,
    "http11.send_request_headers.started": _Stage.EXCHANGE,
}


@dataclass(slots=True)
class _Answer:
    """What is known so far, and stays known when the rest fails."""

    stage: _Stage = _Stage.CONNECT
    status_code: int | None = None
    retry_after: str | None = None
    excerpt: bytearray = field(default_factory=bytearray)

    async def trace(self, event: str, _info: Any) -> None:
        self.stage = _STAGES.get(event, self.stage)


def _word(failure: Exception, stage: _Stage) -> str:
    match failure:
        case TargetRefused():
            return f"refused_target: {failure}"
        case NoAddress():
            return "no_address"
        case TimeoutError() | httpcore.TimeoutException():
            return "timeout"
        case AnswerTooLong():
            return "answer_too_long"
        case httpcore.ProtocolError():
            return "bad_answer"
        case httpcore.NetworkError() | OSError():
            return stage.value
        case _:
            return f"unexpected: {type(failure).__name__}"


def _header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)
