"""Server-Sent Events as bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Only `update` and `snapshot` have an `id:`: on a control frame it would move the client's cursor
past events that it has not seen. Data is one line of ASCII JSON, so it has no character that a
client could take for a line end. A blank line follows events only: after anything else, some
clients dispatch an empty event.
"""

import re

from receiver.domain.serialization import compact_json
from store.records.events import Cursor, Event
from store.records.jobs import Job

HEARTBEAT = b":\n"
"""A comment line."""
RESET = b"event: reset\ndata: {}\n\n"

_CURSOR = re.compile(r"([0-9]{1,18})\.(.{1,45})")
"""Any number with this many digits fits in 64 bits."""


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it connects again."""
    return b"retry: %d\n" % milliseconds


def update(event: Event) -> bytes:
    """One stored event."""
    return b"event: update\nid: %s\ndata: %s\n\n" % (str(event.cursor).encode(), event.data)


def snapshot(cursor: Cursor, data: bytes) -> bytes:
    """The state at the cursor, as one line of JSON."""
    return b"event: snapshot\nid: %s\ndata: %s\n\n" % (str(cursor).encode(), data)


def done(job: Job) -> bytes:
    """The frame that ends a job's stream."""
    data = compact_json({"request_id": job.id, "status": job.status})
    return b"event: done\ndata: %s\n\n" % data


def read_cursor(text: str) -> Cursor | None:
    """The cursor in a `Last-Event-ID`; None if it is not one of ours."""
    match = _CURSOR.fullmatch(text)
    return Cursor(int(match[1]), match[2]) if match else None
