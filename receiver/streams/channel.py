"""One user's new events, and the readers that keep up with them."""

import asyncio
from collections import deque

from receiver.streams import frames
from receiver.streams.reader import Message, Reader, part
from store.records.events import Cursor, Event

MAX_QUEUED = 1_000
"""Events that wait to be pushed. With more, the store is read instead."""
RECENT_BYTES = 64 * 1024
"""Bytes of recent events kept while readers are catching up, so that a reader can join without a
gap between its last read of the log and the join."""

_DONE = b'"done":true'
"""Occurs in the event that ends a job, and perhaps in a provider's result: a match only means that
the job itself must be checked."""


class Channel:
    """One user's channel; exists while the user has readers. Nothing is pushed until it is open."""

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        self.is_open = False
        self.pushed = Cursor(0, "")
        """All events up to here were pushed, or are older than the channel."""
        self.live_readers: set[Reader] = set()
        self.reader_count = 0
        """The number of readers, including those catching up."""
        self.reading = asyncio.Lock()
        """Held while a page is read for a reader that catches up, so that a user's many readers do
        not delay all other reads."""
        self.queued: deque[Event] = deque(maxlen=MAX_QUEUED)
        """Events that this process has committed, so that they need not be read from the store. If
        there are too many, the first are lost: `pop_contiguous` notices the gap."""
        self._recent: deque[tuple[Event, Message]] = deque()
        """The last events up to `pushed`."""
        self._recent_bytes = 0

    def open(self, latest: Cursor) -> None:
        """Start pushing the events after `latest`, unless the channel is open already."""
        if not self.is_open:
            self.is_open = True
            self.pushed = latest

    def pop_contiguous(self) -> list[Event]:
        """Return the queued events if they continue after `pushed` without a gap, else none, and
        forget them. The first ones may have been pushed already."""
        # Batches that commit at the same time are announced in any order.
        events = sorted(self.queued, key=lambda event: event.cursor.seq)
        self.queued.clear()
        if not events:
            return []
        first, last = events[0].cursor.seq, events[-1].cursor.seq
        is_whole = first <= self.pushed.seq + 1 and last - first == len(events) - 1
        return events if is_whole else []

    def push(self, event: Event) -> int:
        """Push the event to every reader that wants it; returns to how many."""
        message = part(frames.update(event))  # encoded once for all readers
        give = self._give
        taken = sum([give(reader, event, message) for reader in tuple(self.live_readers)])
        self.pushed = event.cursor
        self._remember(event, message)
        return taken

    def join(self, reader: Reader) -> None:
        """Add the reader, and push the recent events that it is missing.

        It is not added if some of them are no longer kept, and is removed again if it lags or its
        job may be done. Then it must catch up from the store.
        """
        dropped_seq = self._recent[0][0].cursor.seq - 1 if self._recent else self.pushed.seq
        if reader.written_seq < dropped_seq:
            return
        self.live_readers.add(reader)
        for event, message in self._recent:
            if reader in self.live_readers:
                self._give(reader, event, message)

    def _give(self, reader: Reader, event: Event, message: Message) -> bool:
        """Push one event to one reader; remove it if it lags or its job may be done."""
        if reader.lags() or reader.ended or not reader.wants(event):
            return False
        reader.push(message)
        reader.written_seq = event.cursor.seq
        if reader.lags() or (reader.job_id is not None and _DONE in event.data):
            self.live_readers.discard(reader)
            reader.wake()
        return True

    def _remember(self, event: Event, message: Message) -> None:
        self._recent.append((event, message))
        self._recent_bytes += len(message["body"])
        all_follow = self.reader_count == len(self.live_readers)
        while self._recent and (all_follow or self._recent_bytes > RECENT_BYTES):
            _, oldest = self._recent.popleft()
            self._recent_bytes -= len(oldest["body"])
