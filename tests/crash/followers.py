"""Many readers of event streams, which resume by Last-Event-ID as an EventSource does."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.http_api.event_stream import Frame


@dataclass
class Follower:
    """One client. It reconnects whenever its stream breaks, and records the ids it receives."""

    port: int
    key: str
    cursor: str | None = None
    first: int = 0
    """The `seq` of its only snapshot."""
    seqs: list[int] = field(default_factory=list)
    """The `seq` of each update, in order of arrival."""
    connections: int = 0

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._read_once()
            await asyncio.sleep(random.uniform(0.02, 0.3))

    @property
    def seq(self) -> int:
        """The `seq` that it has reached."""
        return self.seqs[-1] if self.seqs else self.first

    async def _read_once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            resuming = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor else ""
            writer.write(
                f"GET /v1/events HTTP/1.1\r\nHost: test\r\nAPI-KEY: {self.key}\r\n"
                f"{resuming}\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            self.connections += 1
            await self._read_events(reader)
        finally:
            writer.close()

    async def _read_events(self, reader: asyncio.StreamReader) -> None:
        """Read the chunked body frame by frame. Chunks end where frames do, so the line with a
        chunk's size is not taken for a field. Raises `IncompleteReadError` at the end."""
        while True:
            # An EventSource has seen an event only when its empty line has come.
            frame = Frame(await reader.readuntil(b"\n\n"))
            if frame.event:
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        seq = int(str(frame.id).partition(".")[0])
        match frame.event:
            case "snapshot":
                assert self.cursor is None, "a resumed stream sent a second snapshot"
                self.first = seq
            case "update":
                self.seqs.append(seq)
            case event:
                raise AssertionError(f"{event} after {self.cursor}")
        self.cursor = frame.id


@contextlib.asynccontextmanager
async def following(followers: list[Follower]) -> AsyncIterator[None]:
    """Let all of them read until the block is left. A follower that receives something wrong fails
    the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follower.follow()) for follower in followers]
        yield
        for task in tasks:
            task.cancel()
