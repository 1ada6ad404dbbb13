"""A proxy that cuts connections that are idle for too long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.support.tcp_server import tcp_server


class CuttingProxy:
    """Passes bytes between its clients and one server."""

    def __init__(self, server: str, idle_seconds: float) -> None:
        address = urlsplit(server)
        self._server = (address.hostname, address.port)
        self._idle = idle_seconds
        self.url = ""
        self.cut_idle = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._server)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(reader, to_server))
                group.create_task(self._answer(from_server, writer))
        except* OSError:
            pass
        finally:
            writer.transport.abort()
            to_server.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(self._idle):
                    data = await reader.read(65_536)
                if not data:
                    break
                writer.write(data)
        except TimeoutError:
            self.cut_idle += 1
        raise ConnectionAbortedError


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    raise ConnectionAbortedError


@asynccontextmanager
async def cutting_proxy(server: str, idle_seconds: float) -> AsyncIterator[CuttingProxy]:
    """Run a proxy in front of `server` until the block is left."""
    proxy = CuttingProxy(server, idle_seconds)
    async with tcp_server(proxy.serve) as listening:
        proxy.url = f"http://127.0.0.1:{listening.port}"
        yield proxy
