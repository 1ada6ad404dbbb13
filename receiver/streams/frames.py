"""Server-Sent Events as bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html).

`id:` stands on `update` and `snapshot` alone: on a control frame it would move the client's cursor
past events that it has not seen. Data is one line of ASCII JSON, so whatever a reader takes for a
line's end, it cannot cut it.
"""

from dataclasses import dataclass
from typing import Any

from receiver.domain.announcements import compact_json
from store.records import Cursor, Event, Job


@dataclass(frozen=True, slots=True)
class Frame:
    """What every reader gets alike, encoded once."""

    body: bytes
    chunk: bytes
    """The body as a chunk of HTTP/1.1 (RFC 9112, 7.1)."""


def frame(body: bytes) -> Frame:
    """The frame of a body that is not empty."""
    return Frame(body, b"%x\r\n%b\r\n" % (len(body), body))


HEARTBEAT = frame(b":\n\n")
RESET = b"event: reset\ndata: {}\n\n"

_MAX_CURSOR = 64
_MAX_DIGITS = 18
"""Of a count: any of so many fits the 64 bits that a store has for it."""


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def update(event: Event) -> Frame:
    """One stored event."""
    cursor = str(event.cursor).encode()
    return frame(b"event: update\nid: %s\ndata: %s\n\n" % (cursor, event.data))


def snapshot(cursor: Cursor, document: dict[str, Any]) -> bytes:
    """How things stand at the cursor."""
    data = compact_json(document)
    return b"event: snapshot\nid: %s\ndata: %s\n\n" % (str(cursor).encode(), data)


def done(job: Job) -> bytes:
    """The job's stream is over."""
    data = compact_json({"request_id": job.id, "status": job.status})
    return b"event: done\ndata: %s\n\n" % data


def read_cursor(text: str) -> Cursor | None:
    """The cursor in a `Last-Event-ID`, None where it is none of ours."""
    count, dot, nonce = text.partition(".")
    number = count.isascii() and count.isdecimal() and len(count) <= _MAX_DIGITS
    known = dot and nonce and number and len(text) <= _MAX_CURSOR
    return Cursor(int(count), nonce) if known else None
