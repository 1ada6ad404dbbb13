"""Sends one POST to a user's webhook URL.

Each attempt opens a new connection. If the host closed a reused one, the attempt would fail, and
the schedule has few attempts. A new one also means that the address is checked each time.
"""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from receiver.clock import Clock
from receiver.domain.retry_after import read_retry_after
from receiver.http_client.response import Response
from receiver.webhooks.network import CheckedNetwork, failure_code
from receiver.webhooks.targets import TargetRefused
from store.records.times import Millis

LONGEST_ANSWER = 64 * 1024
"""Maximum number of bytes read of one response, including its head."""

EXCERPT = 200
"""Maximum number of characters of a response body that are kept."""

_EXCERPT_BYTES = 4 * EXCERPT


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of one POST. With a status code there is no error: the status line decides."""

    status_code: int | None
    error: str | None
    """Why there was no status: see `failure_code`. `answer_too_long` means a head that is too long;
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
    ) -> AttemptResult:
        """POST `body` and return the result. Raises only `asyncio.CancelledError`.

        The URL is checked again, with the current settings. Redirects are not followed and nothing
        is retried. At most `LONGEST_ANSWER` bytes of the response are read, within `timeout`.

        Args:
            headers: ASCII; `Host`, `Connection` and `Content-Length` are added.
            timeout: seconds for the whole attempt, from name lookup to the last byte.
        """
        started = self._clock.monotonic()
        response: Response | None = None
        excerpt = bytearray()
        error: str | None = None
        is_connected = connect_failure = False
        try:
            async with asyncio.timeout(timeout):
                target = self._network.check(url)
                connection = await self._network.connect(target, timeout, LONGEST_ANSWER)
                is_connected = True
                with closing(connection):
                    own = {"Host": target.authority, "Connection": "close", **headers}
                    response = await connection.request("POST", target.path, own.items(), body)
                    while piece := await connection.read():
                        excerpt += piece[: _EXCERPT_BYTES - len(excerpt)]
        except Exception as failure:  # noqa: BLE001 - a hostile host may make the stack raise anything
            if response is None:
                error = failure_code(failure)
                connect_failure = not (is_connected or isinstance(failure, TargetRefused))
        retry_after = None if response is None else response.header("retry-after")
        # Databases do not accept NUL in text.
        text = excerpt.decode("utf-8", "replace").replace("\0", "\ufffd")
        return AttemptResult(
            status_code=None if response is None else response.status,
            error=error,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            retry_after_ms=read_retry_after(retry_after, self._clock.now()),
            excerpt=text[:EXCERPT] or None,
            connect_failure=connect_failure,
        )
