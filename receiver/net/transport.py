"""Sends httpx's requests over connections that our backend opens."""

import ssl
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import TypeAlias

import certifi
import httpcore
import httpx

from receiver.net.backend import Backend

KEPT_SECONDS = 30.0
"""How long idle connections are kept. Firewalls silently drop them, and a call on a dropped one
gets no answer."""

Wrap: TypeAlias = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]
_wrappers: list[Wrap] = []


def wrap_transports(wrap: Wrap) -> None:
    """Wrap each transport that is opened from now on, as tracing does."""
    _wrappers.append(wrap)


def open_transport(
    backend: Backend, tls: ssl.SSLContext, *, keep: bool = False
) -> httpx.AsyncBaseTransport:
    """A transport over connections that `backend` opens: a context manager that closes them.

    It raises httpcore's errors and those of the backend, not httpx's; close its responses. `keep`
    says whether idle connections are kept for further requests; else each has a new one.
    """
    pool = httpcore.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=None,
        max_keepalive_connections=None if keep else 0,
        keepalive_expiry=KEPT_SECONDS,
        network_backend=backend,
    )
    transport: httpx.AsyncBaseTransport = _Transport(pool)
    for wrap in _wrappers:
        transport = wrap(transport)
    return transport


class _Transport(httpx.AsyncBaseTransport):
    """What `httpx.AsyncHTTPTransport` does with a pool of its own making."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                target,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        if not response.extensions["network_stream"].has_read:
            # It came together with the previous answer; the pool would take it for this one's.
            await response.aclose()
            raise httpcore.RemoteProtocolError("the answer came before its request")
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._response.aiter_stream():
            yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


@cache
def default_tls() -> ssl.SSLContext:
    """Trust the certificate authorities of the system and of certifi; reading them takes 20 ms."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
