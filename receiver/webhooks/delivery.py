"""Sends one POST to a user's webhook URL.

Each attempt opens a new connection. If the host closed a reused one, the attempt would fail, and
the schedule has few attempts. A new one also means that the address is checked each time.
"""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from receiver.clock import Clock
from receiver.domain.retry_after import read_retry_after
from receiver.http_client import Connection
from receiver.webhooks.network import CheckedNetwork, failure_word
from receiver.webhooks.targets import Target, TargetRefused
from store.records.times import Millis

LONGEST_ANSWER = 64 * 1024
"""Maximum number of bytes read of one response, including its head."""

EXCERPT = 200
"""Maximum number of characters of a response body that are kept."""

_EXCERPT_BYTES = 4 * EXCERPT


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one POST. With a status code there is no error: the status line decides."""

    status_code: int | None
    error: str | None
    """Why there was no status: see `failure_word`. `answer_too_long` means a head that is too long;
    a body is only cut."""
    duration_ms: Millis
    retry_after_ms: Millis | None
    """The delay that the response asks for; at most a day."""
    excerpt: str | None
    """The first characters of the response body; None if there are none."""
    connect_failure: bool
    """No connection was established (no address, refused, TLS failed, or a timeout before that). A
    refused target does not count: it says nothing about the host's health."""


class WebhookSender:
    """Delivers messages. It keeps nothing open between attempts; the caller limits concurrency."""

    def __init__(self, network: CheckedNetwork, clock: Clock) -> None:
        self._network = network
        self._clock = clock

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
                target = self._network.check(url)
                connection = await self._network.connect(target, timeout, LONGEST_ANSWER)
                with closing(connection):
                    answer.is_connected = True
                    await _post(connection, target, headers, body, answer)
        except Exception as failure:  # noqa: BLE001 - a hostile host may make the stack raise anything
            if answer.status_code is None:
                error = failure_word(failure)
                is_refused = isinstance(failure, TargetRefused)
                connect_failure = not (answer.is_connected or is_refused)
        # Databases do not accept NUL in text.
        excerpt = answer.excerpt.decode("utf-8", "replace").replace("\0", "\ufffd")
        return Attempt(
            status_code=answer.status_code,
            error=error,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            retry_after_ms=read_retry_after(answer.retry_after, self._clock.now()),
            excerpt=excerpt[:EXCERPT] or None,
            connect_failure=connect_failure,
        )


@dataclass(slots=True)
class _Answer:
    """The response so far, kept even if the rest fails."""

    is_connected: bool = False
    status_code: int | None = None
    retry_after: str | None = None
    excerpt: bytearray = field(default_factory=bytearray)


async def _post(
    connection: Connection,
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    answer: _Answer,
) -> None:
    own = {"Host": target.authority, "Connection": "close"}
    response = await connection.request("POST", target.path, {**own, **headers}.items(), body)
    answer.status_code = response.status
    answer.retry_after = response.header("retry-after")
    while piece := await response.read():
        answer.excerpt += piece[: _EXCERPT_BYTES - len(answer.excerpt)]
