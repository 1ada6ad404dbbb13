"""One open stream: its filter, its client, and how far it has been written."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any, Final, TypeAlias

import structlog

from receiver.streams import frames
from store.records.events import Event

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

log = structlog.get_logger()


def part(body: bytes) -> Message:
    """A part of the response, as ASGI's `send` takes it; it can be sent to many clients."""
    return {"type": "http.response.body", "body": body, "more_body": True}


HEARTBEAT: Final = part(frames.HEARTBEAT)


class _Unsent:
    """The rest of a `send` that did not end at once."""

    def __init__(self, steps: Generator[Any, Any, None], awaits: Any) -> None:
        """`awaits` is what the steps await first."""
        self._steps = steps
        self._awaits = awaits

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield self._awaits
        except BaseException:  # the task is cancelled
            self.close()
            raise
        yield from self._steps

    def close(self) -> None:
        self._steps.close()


class Reader:
    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        key_hash: str,
        user_id: int,
        job_id: str | None,
        after_seq: int,
    ) -> None:
        """Events after `after_seq` are to be written."""
        self.key_hash = key_hash
        self.user_id = user_id
        self.job_id = job_id
        """The one job whose events it wants; None for all of the user's."""
        self.written_seq = after_seq
        """The user's events up to here are written, or do not concern this reader."""
        self.ended = False
        """Whether to write nothing more: client gone, key revoked, log set back, or shutdown."""
        self._receive = receive
        self._send = send
        self._unsent: _Unsent | None = None
        self._wake: asyncio.Future[None] | None = None
        self._next_beat: asyncio.TimerHandle | None = None

    def lags(self) -> bool:
        """Whether the client has not taken the last part yet; then nothing may be pushed."""
        return self._unsent is not None

    def wants(self, event: Event) -> bool:
        """Whether the event is for this reader and has not been written."""
        return event.cursor.seq > self.written_seq and self.job_id in (None, event.job_id)

    def push(self, message: Message) -> None:
        """Send without waiting, and without a task: if the server does not take it at once, the
        client lags from now on, and `drained` sends the rest."""
        steps = self._send(message).__await__()
        try:
            self._unsent = _Unsent(steps, next(steps))
        except StopIteration:
            pass
        except Exception as error:  # the failure of one client ends no other stream
            if not isinstance(error, OSError):
                log.warning("an event stream failed", exc_info=error)
            self.end()

    async def drained(self) -> None:
        """Wait until the client has taken what was pushed."""
        if self._unsent is not None:
            try:
                await self._unsent
            except OSError:  # by which ASGI says that the client has gone
                self.end()
            finally:
                self._unsent = None

    async def write(self, body: bytes) -> None:
        """Send at the client's pace."""
        await self._send(part(body))

    async def end_with_client(self) -> None:
        """End the stream once its client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end()

    def beat(self, interval: float) -> None:
        """Send a heartbeat every `interval` seconds until the stream ends, except while the reader
        catches up: then its next bytes are events."""
        loop = asyncio.get_running_loop()
        self._next_beat = loop.call_later(interval, self._beat, interval)

    def _beat(self, interval: float) -> None:
        self.beat(interval)
        if self._wake is not None and not self.lags():
            self.push(HEARTBEAT)
            if self.lags():
                self.wake()

    def wake(self) -> None:
        """Wake the reader's own coroutine, if it waits in `wait_until_woken`."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def end(self) -> None:
        """End the stream."""
        self.ended = True
        if self._next_beat is not None:
            self._next_beat.cancel()
        self.wake()

    def close(self) -> None:
        """End it, and forget what could not be sent."""
        self.end()
        if self._unsent is not None:
            self._unsent.close()

    async def wait_until_woken(self) -> None:
        """Wait until `wake` is called."""
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None
