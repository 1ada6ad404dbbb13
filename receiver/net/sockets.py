"""TCP and TLS connections by asyncio itself, for httpcore's pools.

httpcore's own come from anyio, whose cancel scopes and task groups take a third of the CPU of a
call.
"""

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpcore

MAX_RECEIVED: Final = 64 * 1024
"""Bytes received ahead of their reader, before the transport stops reading."""


class Sockets(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to IP addresses."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> "Connection":
        """Raises `httpcore.ConnectError`, `httpcore.ConnectTimeout`."""
        with _raising(httpcore.ConnectError, httpcore.ConnectTimeout):
            async with asyncio.timeout(timeout):
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(Connection, host, port)
        return connection


class Connection(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection: the protocol of its transport, and the stream that a pool uses."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._ended = False
        """Whether nothing more will be received."""
        self._error: Exception | None = None
        """Why the connection was lost."""
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # --- the transport's protocol -----------------------------------------------------------------

    # uvloop's transports are no instances of asyncio.Transport.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MAX_RECEIVED:
            self._transport.pause_reading()
        self._readable.set()

    def eof_received(self) -> None:
        self._ended = True
        self._readable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._readable.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- the pool's stream ------------------------------------------------------------------------

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At least one byte, or none at the end. Raises `httpcore.ReadError`,
        `httpcore.ReadTimeout`."""
        with _raising(httpcore.ReadError, httpcore.ReadTimeout):
            async with asyncio.timeout(timeout):
                await self._readable.wait()
            if not self._received and self._error is not None:
                raise self._error
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if not self._received and not self._ended:
            self._readable.clear()
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises `httpcore.WriteError`, `httpcore.WriteTimeout`."""
        with _raising(httpcore.WriteError, httpcore.WriteTimeout):
            self._transport.write(buffer)
            async with asyncio.timeout(timeout):
                await self._writable.wait()
            if self._ended:
                raise self._error or ConnectionResetError("the connection was closed")

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "Connection":
        """Raises `httpcore.ConnectError`, `httpcore.ConnectTimeout`."""
        with _raising(httpcore.ConnectError, httpcore.ConnectTimeout):
            async with asyncio.timeout(timeout):
                encrypted = await asyncio.get_running_loop().start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        assert encrypted is not None
        self._transport = encrypted
        return self

    async def aclose(self) -> None:
        self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # a kept connection that is, has ended or is out of step
            return self._readable.is_set()
        return self._transport.get_extra_info(info)


@contextmanager
def _raising(failed: type[Exception], timed_out: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timed_out(str(error)) from error
    except OSError as error:
        raise failed(str(error)) from error
