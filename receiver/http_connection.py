"""One connection of a client, with bounds on what uvicorn leaves unbounded: heads and silence.

uvicorn collects a request's head, and the trailers of a chunked body, for as long as they come, and
waits for them for ever. What is refused here never was a whole request, so the application does not
see it; the answer has the application's shape all the same.
"""

import asyncio
import json
import resource
from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import Any, Final

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from receiver.http_turnstile import Turnstile

HEAD_BYTES: Final = 64 * 1024
"""The longest head that is read at all. (The application refuses shorter ones, in its own name.)"""
FRAMING_BYTES: Final = 8 * 1024 * 1024
"""What a body's chunk sizes, extensions and trailers may come to."""
HEAD_SECONDS: Final = 15.0
"""How long a head may take, from its first byte; for a connection's first, from connecting."""
UNREAD_SECONDS: Final = 60.0
"""How long a whole request may take; longer than the application waits for a body, so that it is
the application that answers. What is left is the body of a request that was answered without it."""
QUIET_SECONDS: Final = 5.0
"""How long the rest of such a body is waited for while nothing of it comes. It is read and dropped,
since a connection that is closed with bytes unread is reset, and its client loses the answer."""
STALLED_SECONDS: Final = 60.0
"""How long a client may take nothing of an answer that waits for it in memory."""
LOOK_SECONDS: Final = 1.0
"""How often connections are looked at, and so how exact these times are."""
SPARE_FILES: Final = 256
"""Open files that connections leave to the database, the provider and the relays."""
MOST_FILES: Final = 65_536
CONNECTION: Final = "receiver.connection"
"""The extension of a request's scope that is the connection itself (see `GuardedConnection`)."""


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection; `watch_connections` ends it when it is too slow.

    For an answer that goes on for long there is a way past ASGI, whose `send` takes two coroutines
    and a message for each piece, and whose `receive` takes a task to hear that the client has gone:
    `push`, and `when_lost`.
    """

    # Slots, since beyond thirty attributes the instances of a class do not share the keys of their
    # dictionaries: more than 1 KiB for each connection.
    __slots__ = (
        "_answer_writer",
        "_awaited_since",
        "_begun",
        "_framing",
        "_heard_at",
        "_in_head",
        "_lost",
        "_on_lost",
        "_turned_away",
        "_turnstile",
        "_unsent",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        turnstile: Turnstile | None = None,
    ) -> None:
        """`turnstile` decides whether a request comes in; None lets all of them."""
        super().__init__(config, server_state, app_state)
        self._turnstile = turnstile
        self._lost = False
        self._on_lost: Callable[[], None] | None = None
        self._awaited_since: float | None = None
        """Loop time since which a request is incomplete; None where the next has not begun."""
        self._in_head = True
        self._framing = 0
        """Bytes of the request so far, but for its body's content."""
        self._begun = False
        """Whether a request has come as far as the application."""
        self._turned_away = False
        """Whether the request under way was, and what is still to come of it is dropped."""
        self._heard_at: float | None = None
        """When the rest of a body last came whose request was answered; None where none is due."""
        self._unsent = (0, 0.0)
        """Bytes that wait for the client, and the loop time at which they last were fewer."""

    # As uvicorn narrows it: a server's transport is one that reads and writes.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answer_writer = _AnswerWriter(transport)
        self._await_request()
        if len(self.connections) > most_connections():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost = True
        if self._on_lost is not None:
            self._on_lost()

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call once the connection is lost: now, where it is already."""
        if self._lost:
            call()
        self._on_lost = call

    def push(self, chunk: bytes) -> bool:
        """Write a chunk of the answer under way, which must be a chunked one; False, and nothing is
        written, while the client does not take what it was sent before."""
        if self.flow.write_paused:
            return False
        if not self.transport.is_closing():
            self.transport.write(chunk)
        return True

    def data_received(self, data: bytes) -> None:
        self._framing += len(data)
        if self._heard_at is not None:
            self._heard_at = self.loop.time()
        super().data_received(data)
        if self._framing > (HEAD_BYTES if self._in_head else FRAMING_BYTES):
            self._refuse(431, "head_too_large", "The head of the request is too large.")
        elif self._awaited_since is None and self.cycle.response_complete:
            # uvicorn has stopped its keep-alive timer, and nothing that came begins a request: the
            # rest of a body that was not waited for, or blank lines.
            self._framing = 0
            self._await_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # As the type has it, an extension is a dictionary; ASGI leaves it to the server.
        self.scope["extensions"] = {CONNECTION: self}  # type: ignore[dict-item]
        self._await_request()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._turns_away():
            self._turned_away = True
            self._heard_at = self.loop.time()
            self.transport.write(_with_id(_OVERLOADED))
            return
        self._begun = True
        super().on_headers_complete()
        # A cycle writes to its transport, closes it, and asks whether it is closing: no more.
        self.cycle.transport = self._answer_writer  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        self._framing -= len(body)
        if not self._turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._awaited_since = self._heard_at = None
        self._framing = 0
        if not self._turned_away:
            super().on_message_complete()
            return
        self._turned_away = False
        self._await_request()
        if not self.parser.should_keep_alive():
            self.transport.close()

    def on_response_complete(self) -> None:
        self._answer_writer.end()
        if self._awaited_since is not None and not self._in_head:
            self._heard_at = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "malformed_request", msg)

    def end_if_slow(self, now: float) -> None:
        """End the connection where its client takes too long; `now` in loop time."""
        if self.flow.write_paused:
            waiting = self.transport.get_write_buffer_size()
            last, since = self._unsent
            if not last or waiting < last:
                self._unsent = (waiting, now)
            elif now - since > STALLED_SECONDS:
                self.transport.abort()
        else:
            self._unsent = (0, now)
        if self._awaited_since is None:
            return
        waited = now - self._awaited_since
        if self._in_head and waited > HEAD_SECONDS:
            if self._framing:
                self._refuse(408, "head_too_slow", "The head of the request took too long.")
            else:
                self.transport.close()
        elif waited > UNREAD_SECONDS or self._is_quiet(now):
            self.transport.abort()
        elif not self._in_head and not self._turned_away:
            # Whoever waits for the rest of the body gets nothing of it, and a look at the time.
            self.cycle.message_event.set()

    def _turns_away(self) -> bool:
        if self._turnstile is None or self._is_answering():
            return False
        method = self.parser.get_method().decode("ascii")
        return not self._turnstile.admits(method, self.url)

    def _is_answering(self) -> bool:
        """Whether an answer is under way, in the middle of which no other may stand."""
        return self._begun and not self.cycle.response_complete

    def _is_quiet(self, now: float) -> bool:
        return self._heard_at is not None and now - self._heard_at > QUIET_SECONDS

    def _await_request(self) -> None:
        self._in_head = True
        self._awaited_since = self.loop.time()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        if self.transport.is_closing():
            return
        if self._is_answering():
            self.transport.abort()
            return
        answer = _answer(status, code, detail, b"connection: close\r\n")
        self.transport.write(_with_id(answer))
        self.transport.close()


class _AnswerWriter:
    """The answers of a connection, one after the other, on their way out.

    The head of each waits for the first of its body, as ASGI asks for, and is one write with it:
    a write is a system call, and wakes whoever reads.
    """

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._begun and not data.startswith(_CONTINUE):
            self._begun = True
            self._head = data
            return
        if self._head:
            data = self._head + data
            self._head = b""
        self._transport.write(data)

    def end(self) -> None:
        """The answer is whole; one without a body is its head."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._begun = False

    def close(self) -> None:
        self.end()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def refusal(status: int, code: str, detail: str) -> bytes:
    """The body of an answer that is an error, as the application shapes them."""
    title = STATUS_LINE[status].partition(b" ")[2].partition(b" ")[2].strip().decode()
    document = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "message": detail,
        "code": code,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _answer(status: int, code: str, detail: str, headers: bytes) -> bytes:
    content = refusal(status, code, detail)
    return (
        STATUS_LINE[status]
        + b"content-type: application/problem+json\r\n"
        + headers
        + b"content-length: %d\r\n\r\n" % len(content)
        + content
    )


def _with_id(answer: bytes) -> bytes:
    """The answer with an `X-Request-ID`, which every answer carries (contract 4)."""
    status, _, rest = answer.partition(b"\r\n")
    return b"%s\r\nx-request-id: %s\r\n%s" % (status, token_hex(8).encode(), rest)


_CONTINUE: Final = b"HTTP/1.1 100 "
"""What stands before an answer and is no part of it."""

_OVERLOADED: Final = _answer(
    503,
    "overloaded",
    "There is more load than can be taken. Nothing was done; try again.",
    b"retry-after: 2\r\n",
)


async def watch_connections(connections: Iterable[Any]) -> None:
    """End slow connections, for ever. They are looked through now and then: a
    timer for each request would cost more than all of this together."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = loop.time()
        for connection in list(connections):
            connection.end_if_slow(now)


def most_connections() -> int:
    """How many connections there may be at once; one more is closed as it comes."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - SPARE_FILES, files // 2)


def allow_many_connections() -> None:
    """Raise this process's limit of open files to what the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
