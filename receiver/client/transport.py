"""The client's HTTP calls, and what their failures become."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from httpx_sse import EventSource

from receiver.client.errors import (
    AnotherServer,
    ClientError,
    Unreachable,
    api_error,
    read_document,
)
from receiver.this_machine import is_this_machine

STREAM_SILENCE = 60.0
"""Seconds without a byte (not even a heartbeat) after which a stream's connection is dead."""


class Transport:
    """Connections to one service, with one key."""

    def __init__(self, url: str, api_key: str, timeout: float) -> None:
        """Does not connect yet; `timeout` as for `AsyncClient`.

        Raises:
            ValueError: the URL is not an http or https URL, or the key is not valid in a header.
            ClientError: a proxy or the certificates in the environment cannot be used.
        """
        self._timeout = timeout
        key = api_key.strip()  # it may end with the newline of a file
        if not re.fullmatch(r"[!-~]+", key):
            raise ValueError("an API key must be visible ASCII without spaces")
        if not re.match("https?://.", url, re.IGNORECASE):
            raise ValueError("the service's URL must begin with http:// or https://")
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"the service's URL is not valid: {error}") from error
        self._shown_url = address.copy_with(userinfo=b"")
        nearby = is_this_machine(url)
        try:
            self._http = httpx.AsyncClient(
                base_url=url,
                headers={"API-KEY": key},
                timeout=timeout,
                # Each stream holds one, and no call may wait for it: the service limits streams.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                # A proxy from the environment cannot reach this machine's loopback addresses.
                trust_env=not nearby,
                # Loading certificate authorities takes longer than a call: skip it where possible.
                verify=not (nearby and address.scheme == "http"),
            )
        # SOCKS without its package, an unknown scheme, or a URL that is not valid.
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            reason = "the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"
            raise ClientError(f"{reason}: {error}") from error
        except OSError as error:
            reason = "the certificates in SSL_CERT_FILE or SSL_CERT_DIR cannot be read"
            raise ClientError(f"{reason}: {error.strerror}") from error

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, member: str, **options: Any) -> Any:
        """Make one call; returns the document in its answer. Raises as `send` does, also if the
        document has no `member`, which the service's always has."""
        response = await self.send(method, path, **options)
        document = read_document(response)
        if document is None or member not in document:
            raise _another_server(response)
        return document

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make one call, with options of httpx. Raises `ApiError` for a status of 300 or more,
        `AnotherServer` if the answer is not the service's, and `Unreachable`."""
        with self._own_errors():
            response = await self._http.request(method, path, **options)
        _check(response)
        return response

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str]
    ) -> AsyncIterator[EventSource | None]:
        """One connection of a stream; None if there are no more events (204)."""
        headers = {"Accept": "text/event-stream"}
        timeout = httpx.Timeout(self._timeout, read=STREAM_SILENCE)
        with self._own_errors():
            async with self._http.stream(
                "GET", path, params=params, headers=headers, timeout=timeout
            ) as response:
                if response.status_code >= 300:
                    await response.aread()
                _check(response)
                if response.status_code == 204:
                    yield None
                    return
                if "text/event-stream" not in response.headers.get("Content-Type", ""):
                    raise AnotherServer(f"{self._shown_url} sent no event stream")
                response.encoding = "utf-8"  # as event streams always are
                yield EventSource(response)

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Raise the client's errors in the place of httpx's."""
        try:
            yield
        except httpx.HTTPError as error:
            reason = "timed out" if isinstance(error, httpx.TimeoutException) else str(error)
            reason = reason or type(error).__name__
            raise Unreachable(f"no answer from {self._shown_url}: {reason}") from error
        except httpx.InvalidURL as error:
            raise ClientError(f"the request cannot be sent: {error}") from error


def _check(response: httpx.Response) -> None:
    """Raises `ApiError` for a status of 300 or more, and `AnotherServer`."""
    if response.status_code >= 300:
        raise api_error(response)
    if "X-Request-ID" not in response.headers:
        raise _another_server(response)


def _another_server(response: httpx.Response) -> AnotherServer:
    url = response.request.url.copy_with(query=None, userinfo=b"")
    return AnotherServer(f"{url} does not answer like the service")
