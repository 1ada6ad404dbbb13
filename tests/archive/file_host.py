"""A configurable file host: lost connections, delays, redirects, errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.tcp_server import tcp_server

WRITE = 64 * 1024


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
    cuts, the last chunk does."""
    cuts: list[int] = field(default_factory=list)
    """For each of the first requests: after how many bytes of the body it is cut off."""
    pause: float = 0.0
    """Seconds before each further 64 KiB."""


@dataclass
class FileHost:
    """The answers, by path, and a record of requests."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Paths, in order."""

    def link(self, path: str, answer: Answer) -> str:
        """Set the answer for a path, and return its link."""
        self.answers[path] = answer
        return f"http://127.0.0.1:{self.port}{path}"

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        self.asked.append(path)
        answer = self.answers[path]
        headers, body = {"Connection": "close", **answer.headers}, answer.body
        if answer.length:
            headers.setdefault("Content-Length", str(len(body)))
        elif answer.cuts:
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        lines = [
            f"HTTP/1.1 {answer.status} X",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
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
