"""A reader of event streams that sees every byte: frames as they arrived, including comments."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.service import TIMEOUT


@dataclass(frozen=True)
class Frame:
    """One event of a stream, up to its empty line, or a line of another kind between two events."""

    raw: bytes

    def field(self, name: bytes) -> str | None:
        for line in self.raw.split(b"\n"):
            if line.startswith(name + b": "):
                return line.removeprefix(name + b": ").decode("ascii")
        return None

    @property
    def event(self) -> str | None:
        return self.field(b"event")

    @property
    def id(self) -> str | None:
        return self.field(b"id")

    @property
    def data(self) -> Any:
        text = self.field(b"data")
        return None if text is None else json.loads(text)


class EventStream:
    """An open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_raw()
        self._buffer = b""

    async def next(self) -> Frame | None:
        """The next frame; None at the clean end of the stream."""
        async with asyncio.timeout(TIMEOUT):
            while (end := self._end()) is None:
                try:
                    self._buffer += await anext(self._chunks)
                except StopAsyncIteration:
                    assert not self._buffer, f"the stream ended within a frame: {self._buffer!r}"
                    return None
        raw, self._buffer = self._buffer[:end], self._buffer[end:]
        assert raw.strip(), "an empty line outside an event: clients may take it for an event"
        return Frame(raw.rstrip())

    def _end(self) -> int | None:
        """Where the next frame ends, if it is complete."""
        event = not self._buffer.startswith((b":", b"retry:", b"\n"))
        end = self._buffer.find(b"\n\n" if event else b"\n")
        return None if end < 0 else end + 1 + event

    async def until(self, enough: Callable[[Frame], bool]) -> list[Frame]:
        """Frames up to and including the first that matches; all of them if the stream ends."""
        frames = []
        while (frame := await self.next()) is not None:
            frames.append(frame)
            if enough(frame):
                break
        return frames

    async def rest(self) -> list[Frame]:
        """Every frame up to the end."""
        return await self.until(lambda _: False)

    async def events(self, count: int) -> list[Frame]:
        """The next `count` frames that are events."""
        frames: list[Frame] = []
        while len(frames) < count:
            frame = await self.next()
            assert frame is not None, f"the stream ended after {frames}"
            if frame.event:
                frames.append(frame)
        return frames


@asynccontextmanager
async def event_stream(
    client: httpx.AsyncClient, path: str, cursor: str | None = None
) -> AsyncIterator[EventStream]:
    """Open a stream, resumed after `cursor` if one is given."""
    headers = {} if cursor is None else {"Last-Event-ID": cursor}
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield EventStream(response)
