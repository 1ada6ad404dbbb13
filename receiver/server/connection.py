"""A client connection with limits that uvicorn lacks: on the size of heads and on slow clients.

uvicorn collects a request's head, and the trailers of a chunked body, without a limit on their size
or time. A request that is refused here does not reach the application; if the application is
already reading its body, it sees a client disconnect. The client gets an error response in the
application's format, unless another response is under way.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Final, cast

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from receiver.server.buffer_limiter import WriteBufferLimiter, has_stalled
from receiver.server.incoming import Incoming, Stage
from receiver.server.listener import most_connections
from receiver.server.load_shedding import ASGIApp, LoadShedder
from receiver.server.pipelining import RequestFlow
from receiver.server.responses import ResponseWriter, error_response, overloaded, with_request_id
from receiver.server.upgrade import ignore_upgrade

CHECK_SECONDS: Final = 1.0
"""Pause between two checks of all connections, and so the precision of the time limits."""
MOST_HEADERS: Final = 128
"""Most headers of a request that are kept: a short one takes 20 times its bytes. (The application's
own limit is lower.)"""
TARGET_BYTES: Final = 16 * 1024
"""Longest request target that is kept. (The application's own limit is half of that.)"""
CONNECTION: Final = "receiver.connection"
"""The scope extension that holds the connection itself (see `GuardedConnection`)."""


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection; `watch_connections` ends it when it is too slow.

    Long responses can bypass ASGI with `push` and `when_lost`. ASGI's `send` needs two coroutines
    and a message for each chunk, and its `receive` needs a task to notice that the client has gone.
    """

    # Slots, because instances with more than thirty attributes do not share dictionary keys, which
    # costs more than 1 KiB per connection.
    __slots__ = (
        "_awaits_reader",
        "_buffer_limiter",
        "_incoming",
        "_load_shedder",
        "_on_lost",
        "_response_writer",
        "_running",
        "unsent",
    )
    flow: RequestFlow

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        buffer_limiter: WriteBufferLimiter,
        load_shedder: LoadShedder | None,
    ) -> None:
        """`load_shedder` decides whether a request is admitted; None admits all."""
        super().__init__(config, server_state, app_state={})
        self._load_shedder = load_shedder
        self._on_lost: Callable[[], None] | None = None
        self._awaits_reader = False
        """Whether the next request waits until the client has read the last response."""
        self._running: RequestResponseCycle | None = None
        """The last request started. (`cycle` is the last one received.)"""
        self._incoming = Incoming()
        self._buffer_limiter = buffer_limiter
        self.unsent = (0, self.loop.time())
        """As `Client.unsent` in `buffer_limiter`."""

    # uvicorn narrows the type too: a server's transport reads and writes.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = RequestFlow(transport)
        self._response_writer = ResponseWriter(transport, self._end)
        self._incoming.await_head(self.loop.time())
        if len(self.connections) > most_connections():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._running is not None:
            self.cycle = self._running  # uvicorn notifies only the last request received
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves the timer after a reset
        self.flow.unparsed = b""
        if self._on_lost is not None:
            self._on_lost()

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call `call` once the connection is lost, or now if it is. Replaces an earlier one."""
        if self not in self.connections:
            call()
        self._on_lost = call

    def push(self, chunk: bytes) -> bool:
        """Write a chunk, with its size line (RFC 9112, 7.1), of the current response, which must be
        chunked. Returns False, and writes nothing, while the write buffer is full. If the
        connection is closing, drops the chunk."""
        if self.flow.write_paused:
            return False
        if not self.transport.is_closing():
            self.transport.write(chunk)
        return True

    def data_received(self, data: bytes) -> None:
        stage = self._incoming.stage
        if stage is Stage.REST or stage is Stage.OVER:
            self._incoming.rest_at = self.loop.time()
        if stage is Stage.OVER:
            return
        self._unset_keepalive_if_required()
        data = self.flow.take(data)
        self._incoming.framing += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(400, "malformed_request", "Invalid HTTP request received.")
            return
        if self._incoming.stage is Stage.NOTHING:
            # The data does not begin a request: it is the end of a body, or blank lines, or follows
            # the last request. The keep-alive timer was stopped above, so a head is awaited.
            self._incoming = Incoming()
            if not self._is_answering():
                self._incoming.await_head(self.loop.time())
        elif self._incoming.is_too_large:
            self._refuse(431, "head_too_large", "The head or the trailers are too large.")
        if self.pipeline or self.flow.unparsed or self._awaits_reader:
            self.flow.hold()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Take further requests, unless some wait or the client has not read the last response."""
        if self.flow.held and not (self.pipeline or self._awaits_reader or self._is_closing()):
            if self.flow.unparsed:
                self.data_received(b"")
            if not (self.pipeline or self.flow.unparsed):
                self.flow.release()

    def _parse(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:  # a client may pipeline several requests with an `Upgrade`
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
            if self._is_closing():
                return
            ignore_upgrade(self)

    def on_message_begin(self) -> None:
        if self._incoming.has_head:
            return  # see `ignore_upgrade`; or it is `OVER`
        super().on_message_begin()
        # The type says that extensions are dictionaries; ASGI leaves that to the server.
        self.scope["extensions"] = {CONNECTION: self}  # type: ignore[dict-item]
        self._incoming.await_head(self.loop.time())

    def on_url(self, url: bytes) -> None:
        # A target that is too long is still too long after truncation.
        super().on_url(url[: TARGET_BYTES - len(self.url)])

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after the head are trailers: not headers of the request, and each would take 30
        # times its size in memory.
        if self._incoming.stage is Stage.HEAD and len(self.headers) < MOST_HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._incoming.has_head:
            return  # see `ignore_upgrade`; or it is `OVER`
        if self.parser.get_method() == b"CONNECT":
            self._refuse(400, "malformed_request", "CONNECT is not supported.")
            return
        if self.parser.should_upgrade() and len(self.headers) == MOST_HEADERS:
            # The headers that `ignore_upgrade` needs may not be among those that were kept.
            self._refuse(431, "head_too_large", "A request with an Upgrade has too many headers.")
            return
        if self._shed_if_busy():
            self.transport.write(overloaded(self.parser.get_method()))
            if self.parser.should_keep_alive():
                self._incoming.drop_rest(self.loop.time())
            else:
                self._end()
            return
        super().on_headers_complete()  # raises an error for some targets
        self._incoming.stage = Stage.BODY
        # uvicorn's request cycle only calls `write`, `close` and `is_closing` of its transport.
        self.cycle.transport = self._response_writer  # type: ignore[assignment]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:
        self._running = cycle
        self._awaits_reader = False  # uvicorn's `send` waits for the reader instead
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self._incoming.framing -= len(body)
        self._incoming.framing_before = self._incoming.framing
        if self._incoming.stage is Stage.BODY:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # the message is not complete: see `ignore_upgrade`
        stage = self._incoming.stage
        # `Connection: close` may also have come as a trailer: then nothing more is parsed.
        is_last = not self.parser.should_keep_alive()
        if stage is Stage.OVER or (is_last and stage is Stage.REST):
            self.transport.close()
            return
        self._incoming = Incoming()
        if stage is Stage.BODY:
            if is_last:
                self.cycle.keep_alive = False
            super().on_message_complete()
        elif stage is Stage.REST:
            # Not before: a client may send the rest of its body before it reads.
            self._awaits_reader = self.flow.write_paused

    def on_response_complete(self) -> None:
        self._response_writer.end()
        # With pipelining, the request being received can be a later one, not yet answered.
        if self._incoming.stage is Stage.BODY and self.cycle.response_complete:
            self._incoming.drop_rest(self.loop.time())
        self._buffer_limiter.wrote(self.transport.get_write_buffer_size())
        # Begin the next response only once the client has read this one: it would be buffered too.
        is_next_held = self.flow.held and self._incoming.stage is not Stage.REST
        self._awaits_reader = self.flow.write_paused and is_next_held
        if not self._awaits_reader:
            self._begin_next()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._awaits_reader:
            self._awaits_reader = False
            self._begin_next()

    def _begin_next(self) -> None:
        super().on_response_complete()
        self._go_on()

    def end_if_slow(self, now: float) -> None:
        """Close the connection if its client is too slow; `now` is loop time."""
        is_head_unread = self.flow.read_paused and self._incoming.stage is Stage.HEAD
        if has_stalled(self, self.flow.write_paused or self._is_closing(), now):
            self.transport.abort()
        elif self.pipeline or self._awaits_reader or is_head_unread:
            # Nothing is read, so no time limit of the request runs.
            self._incoming.began_at = self._incoming.rest_at = now
        elif self._incoming.is_too_slow(now):
            if self._incoming.framing and not self._incoming.has_head:
                self._refuse(408, "head_too_slow", "The head of the request took too long.")
            else:
                self.transport.close()

    def _shed_if_busy(self) -> bool:
        if self._load_shedder is None or self._is_answering():
            return False
        method = self.parser.get_method().decode("ascii")
        return not self._load_shedder.admit(method, self.url)

    def _is_answering(self) -> bool:
        """Whether a response is under way, during which no other may be written."""
        # uvicorn's type hides that there is none before the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _is_closing(self) -> bool:
        return self._incoming.stage is Stage.OVER or self.transport.is_closing()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        if self._is_closing():
            return
        if self._is_answering():
            is_read = self._incoming.stage is Stage.BODY and not self.pipeline
            if not is_read or self.cycle.response_started:
                self.transport.abort()  # what is under way cannot be continued
                return
            # The application is still reading the body: it sees a client disconnect.
            self.cycle.disconnected = True
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        self.transport.write(
            with_request_id(error_response(status, code, detail, b"connection: close\r\n"))
        )
        self._end()

    def _end(self) -> None:
        """Close the connection after its last response; if the client may still be sending, first
        only our side of it, and the rest once the client has closed its own (RFC 9112, 9.6)."""
        if self._incoming.stage is Stage.NOTHING and not self.flow.held:
            self.transport.close()
        elif not self.transport.is_closing():
            self._incoming.end(self.loop.time())
            self._awaits_reader = False
            self.pipeline.clear()
            self.flow.unparsed = b""
            self.flow.release()
            self.flow.resume_reading()
            with suppress(OSError):  # the client may have reset the connection
                self.transport.write_eof()


async def watch_connections(state: ServerState, buffer_limiter: WriteBufferLimiter) -> None:
    """Close slow connections, and the slowest if too much is buffered; runs for ever. Checking them
    all periodically is cheaper than a timer for each request. Also keeps the `Date` of responses
    right."""
    loop = asyncio.get_running_loop()
    while True:
        state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        await asyncio.sleep(CHECK_SECONDS)
        now = loop.time()
        connections: Any = list(state.connections)
        for connection in connections:
            connection.end_if_slow(now)
        buffer_limiter.check()
