"""A configurable file host: with or without ranges, lost connections, delays, redirects, errors."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.tcp_server import tcp_server

WRITE = 64 * 1024
NUMBER = re.compile(rb"[Rr]ange: bytes=(\d+)-")


def file_of(size: int, seed: int = 0) -> bytes:
    """This many bytes, the same each time; no two parts of them are equal."""
    lines = (b"%020d %042d\n" % (seed, place) for place in range(0, size, 64))
    return b"".join(lines)[:size]


@dataclass
class Answer:
    """The answer to requests for a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: bool = True
    """Whether there is a Content-Length. Without it, the end of the connection ends the file; with
    cuts or ranges, the last chunk does."""
    cuts: list[int] = field(default_factory=list)
    """For each of the first requests: after how many bytes of the body it is cut off."""
    ranges: bool = True
    most: int | None = None
    """How many bytes of a range are sent at once."""
    total: str | None = None
    """The file's length as a range states it, instead of the true one."""
    range_headers: dict[str, str] = field(default_factory=dict)
    """Additional headers of the answer to a range."""
    pause: float = 0.0
    """Seconds before each further 64 KiB."""


@dataclass
class FileHost:
    """The answers, by path, and a record of requests."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Paths, and where the requested range began."""

    def link(self, path: str, answer: Answer) -> str:
        """Set the answer for a path, and return its link."""
        self.answers[path] = answer
        return f"http://127.0.0.1:{self.port}{path}"

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        wanted = NUMBER.search(head)
        start, end = int(wanted[1]) if wanted else 0, None
        self.asked.append((path, start))
        answer = self.answers[path]
        status, headers = answer.status, {"Connection": "close", **answer.headers}
        if wanted and answer.ranges:
            status = 206
            whole = len(answer.body)
            end = min(whole, start + (answer.most or whole))
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{answer.total or whole}"
            headers |= answer.range_headers
        else:
            start = 0
        body = answer.body[start:end]
        if answer.length:
            headers.setdefault("Content-Length", str(len(body)))
        elif answer.cuts or end:
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        if answer.cuts:
            await self._write(writer, body[: answer.cuts.pop(0)], answer.pause)
            writer.transport.abort()
        else:
            await self._write(writer, body, answer.pause)

    async def _write(self, writer: asyncio.StreamWriter, body: bytes, pause: float) -> None:
        for place in range(0, len(body), WRITE):
            writer.write(body[place : place + WRITE])
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)


@asynccontextmanager
async def file_host() -> AsyncIterator[FileHost]:
    """Run the host until the block is left."""
    host = FileHost()
    async with tcp_server(host.meet) as server:
        host.port = server.port
        yield host
