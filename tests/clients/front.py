"""A proxy before an HTTP server. It can lose answers to creations, and can speak TLS."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.tcp_server import tcp_server

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


def _never() -> bool:
    return False


@dataclass
class Front:
    """Passes on requests, one for a connection."""

    upstream: int
    """The port of the server."""
    scheme: str
    loses: Callable[[], bool] = _never
    """Is asked at each creation whether its answer is lost: the connection is reset instead."""
    requests: list[str] = field(default_factory=list)
    """The method and path of each."""
    url: str = ""

    @property
    def creations(self) -> list[str]:
        return [each for each in self.requests if _creates(each)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()[:-1]
        method, path, _ = line.split()
        request = f"{method} {path}"
        self.requests.append(request)
        kept = {name: each for each in headers if (name := each.partition(":")[0].lower())}
        length = int(kept.get("content-length", ":0").partition(":")[2])
        kept |= {"connection": "Connection: close", "": f"X-Forwarded-Proto: {self.scheme}"}
        head = "\r\n".join([line, *kept.values(), "", ""])
        answers, server = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            server.write(head.encode("latin-1") + await reader.readexactly(length))
            if _creates(request) and self.loses():
                await answers.read()
                client: socket.socket = writer.get_extra_info("socket")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()
                return
            while data := await answers.read(65_536):
                writer.write(data)
                await writer.drain()
        finally:
            server.transport.abort()


def _creates(request: str) -> bool:
    return request.startswith("POST ") and not request.endswith("/cancel")


@asynccontextmanager
async def front(upstream: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Front]:
    """Serve before `upstream`, an origin on this machine, until the block is left."""
    proxy = Front(int(upstream.rpartition(":")[2]), "https" if tls else "http")
    async with tcp_server(proxy.serve, tls=tls) as listening:
        proxy.url = f"{proxy.scheme}://127.0.0.1:{listening.port}"
        yield proxy
