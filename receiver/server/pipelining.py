"""Bounds what pipelined requests cost: a few are parsed at a time, and while some of them wait
nothing is read.

A client may send requests without waiting for the responses. uvicorn parses all that have come and
queues them: 256 KB, which are read at once, hold 14,000, and they take 34 MB and 0.3 s.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

PARSED_AT_ONCE: Final = 16
"""Requests of one connection whose heads are parsed at once, and so the most that wait for those
before them."""
_HEAD_END: Final = b"\n\r\n"
"""The only end of a head that the parser accepts. It begins with LF, not CRLF, because the parser
needs no CR after a request line without a version."""


class RequestFlow(FlowControl):
    """uvicorn's flow control, which stops reading while the application does not read a body. This
    one also stops while requests are held back. Meanwhile, a client's disconnect is noticed only
    when something is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self.held = False
        self.unparsed = b""
        """What is held back of the data that has come."""

    def take(self, data: bytes) -> bytes:
        """What to parse now of `unparsed` and this data: nearly always all, but no more than
        `PARSED_AT_ONCE` ends of heads. The rest is `unparsed`."""
        data = self.unparsed + data
        parts = data.split(_HEAD_END, PARSED_AT_ONCE)
        self.unparsed = parts[-1] if len(parts) > PARSED_AT_ONCE else b""
        return data[: len(data) - len(self.unparsed)]

    def hold(self) -> None:
        """Read nothing until `release`."""
        self.held = True
        self._transport.pause_reading()

    def release(self) -> None:
        self.held = False
        if not self.read_paused:
            self._transport.resume_reading()

    def resume_reading(self) -> None:
        if self.held:
            self.read_paused = False
        else:
            super().resume_reading()
