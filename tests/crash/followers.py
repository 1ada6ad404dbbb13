"""Readers of event streams by the hundred, that resume by Last-Event-ID as an EventSource does."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Follower:
    """One client: it connects again whenever its stream breaks, and keeps every id that it gets."""

    port: int
    key: str
    cursor: str | None = None
    first: int = 0
    """The place at which its one snapshot was read."""
    places: list[int] = field(default_factory=list)
    """The `seq` of each update, as they came."""
    connections: int = 0

    async def follow(self) -> None:
        """Read for ever."""
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._read_once()
            await asyncio.sleep(random.uniform(0.02, 0.3))

    @property
    def place(self) -> int:
        """How far it is."""
        return self.places[-1] if self.places else self.first

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
        """Chunks end where frames do, so their size lines stand between frames and are no field."""
        event, cursor = "", ""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                event = line[7:-1].decode()
            elif line.startswith(b"id: "):
                cursor = line[4:-1].decode()
            elif line == b"\n" and event:
                # Only here has an EventSource seen the whole event.
                self._take(event, cursor)
                event = ""

    def _take(self, event: str, cursor: str) -> None:
        place = int(cursor.partition(".")[0])
        match event:
            case "snapshot":
                assert self.cursor is None, "a resume began anew"
                self.first = place
            case "update":
                self.places.append(place)
            case _:
                raise AssertionError(f"{event} after {self.cursor}")
        self.cursor = cursor


@contextlib.asynccontextmanager
async def following(followers: list[Follower]) -> AsyncIterator[None]:
    """Let all of them read until the block is left; one that saw what it must not fails it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follower.follow()) for follower in followers]
        yield
        for task in tasks:
            task.cancel()
