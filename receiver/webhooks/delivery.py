"""Sends one POST to a user's webhook URL.

Each attempt opens a new connection. If the host closed a reused one, the attempt would fail, and
the schedule has few attempts. A new one also means that the address is checked each time.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

import httpx

from receiver.clock import Clock
from receiver.net.retry_after import read_retry_after
from receiver.net.transport import open_transport
from receiver.webhooks.network import CheckedNetwork, failure_code, host_header
from receiver.webhooks.targets import TargetRefused
from store.records.times import Millis

LONGEST_ANSWER = 64 * 1024
"""Maximum number of bytes received of one response, including its head."""

EXCERPT = 200
"""Maximum number of characters of a response body that are kept."""


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
        is retried. The response is read up to the end of the excerpt, within `timeout`.

        Args:
            headers: ASCII; `Host`, `Connection` and `Content-Length` are added.
            timeout: seconds for the whole attempt, from name lookup to the last byte.
        """
        started = self._clock.monotonic()
        backend = self._network.backend(LONGEST_ANSWER)
        response: httpx.Response | None = None
        excerpt = bytearray()
        error: str | None = None
        connect_failure = False
        try:
            async with (
                asyncio.timeout(timeout),
                open_transport(backend, self._network.tls) as transport,
            ):
                self._network.check(url)
                request = httpx.Request(
                    "POST",
                    url,
                    headers={"Host": host_header(url), "Connection": "close", **headers},
                    content=body,
                    extensions={"timeout": {"connect": timeout}},
                )
                response = await transport.handle_async_request(request)
                async with aclosing(response):
                    async for piece in response.aiter_raw():
                        excerpt += piece
                        if len(excerpt) >= 4 * EXCERPT:  # in UTF-8
                            break  # the rest could be thousands of tiny chunks
        except Exception as failure:  # noqa: BLE001 - a hostile host may make the stack raise anything
            if response is None:
                error = failure_code(failure)
                connect_failure = not (backend.has_written or isinstance(failure, TargetRefused))
        retry_after = None if response is None else response.headers.get("retry-after")
        # Databases do not accept NUL in text.
        text = excerpt.decode("utf-8", "replace").replace("\0", "\ufffd")
        return AttemptResult(
            status_code=None if response is None else response.status_code,
            error=error,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            retry_after_ms=read_retry_after(retry_after, self._clock.now()),
            excerpt=text[:EXCERPT] or None,
            connect_failure=connect_failure,
        )
