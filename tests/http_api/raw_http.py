"""Requests byte by byte, including those that no client library would send."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support.service import TIMEOUT


@dataclass(frozen=True)
class RawAnswer:
    """One parsed answer."""

    status_code: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class RawConnection:
    """A connection to a service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def ask(self, request: bytes) -> RawAnswer:
        """Send a request, and read its answer."""
        await self.send(request)
        return await self.answer()

    async def answer(self) -> RawAnswer:
        """Read one answer with a Content-Length."""
        async with asyncio.timeout(TIMEOUT):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return RawAnswer(int(status_line.split()[1]), headers, body)

    async def read_some(self) -> bytes:
        """Read whatever comes next."""
        return await self._reader.read(2**16)

    async def until(self, mark: bytes) -> bytes:
        """Read up to and including `mark`."""
        async with asyncio.timeout(TIMEOUT):
            return await self._reader.readuntil(mark)

    async def rest(self) -> bytes:
        """Read until the other side closes or resets the connection."""
        came = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(TIMEOUT):
                while chunk := await self._reader.read(1 << 20):
                    came += chunk
        return came

    async def ended(self) -> bool:
        """Whether the other side closes without sending anything more."""
        return not await self.rest()

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    def is_open(self) -> bool:
        """Whether the other side has not closed, as far as this side knows."""
        return not (self._writer.is_closing() or self._reader.at_eof())

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Read nothing until the block is left."""
        transport = self._writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        yield
        transport.resume_reading()


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[RawConnection]:
    """Connect to the service at `url`; leaving the block aborts the connection."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def sending(
    connection: RawConnection, piece: bytes, pause: float = 0.0
) -> AsyncIterator[None]:
    """Send the piece repeatedly until the block is left."""

    async def send() -> None:
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(pause)
                await connection.send(piece)

    task = asyncio.create_task(send())
    yield
    task.cancel()


def request_bytes(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP/1.1 request; underscores in header names become hyphens."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body and not {"Content_Length", "Transfer_Encoding"} & headers.keys():
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
