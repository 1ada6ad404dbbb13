"""Fan-out: events of this process are pushed without a read; others are read."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from types import SimpleNamespace
from typing import cast

import pytest

from receiver.clock import SystemClock
from receiver.streams import frames
from receiver.streams.broadcast import PAGE, Broadcast
from receiver.streams.hub import Hub
from receiver.streams.reader import Message, Reader
from receiver.telemetry.metrics import Metrics
from store.changes import CommitNotice
from store.database import Store
from store.records.events import Cursor, Event
from tests.support.service import wait_for_length

ANN, BOB = 1, 2
FIRST = 4
"""The `seq` of each user's latest event before the streams open."""


def event(seq: int, user: int = ANN, nonce: str = "x") -> Event:
    return Event(Cursor(seq, nonce), f"job_{user}", seq, b'{"seq":%d}' % seq)


class Log:
    """The part of `store.events.Events` that streams read, in memory."""

    def __init__(self) -> None:
        self.events = {
            user: [event(seq, user) for seq in range(1, FIRST + 1)] for user in (ANN, BOB)
        }
        self.looks: list[list[int]] = []
        self.reads: list[tuple[int, int]] = []
        """Each read: the user, and the `seq` after which it reads."""
        self.running = Counter[int]()
        """Reads in progress, by user."""
        self.answers = asyncio.Event()
        """Reads are answered while this is set."""
        self.answers.set()
        self.removed_seq = 0
        """The `seq` up to which retention has removed events."""

    async def latest(self, user_id: int) -> Cursor:
        return self.events[user_id][-1].cursor

    async def ends(self, user_ids: Collection[int]) -> dict[int, Cursor]:
        self.looks.append([*user_ids])
        return {user_id: await self.latest(user_id) for user_id in user_ids}

    async def after_for_user(self, user_id: int, seq: int, limit: int) -> list[Event]:
        self.reads.append((user_id, seq))
        self.running[user_id] += 1
        await self.answers.wait()
        self.running[user_id] -= 1
        after = max(seq, self.removed_seq)
        return [each for each in self.events[user_id] if each.cursor.seq > after][:limit]

    def append(self, *seqs: int, user: int = ANN, nonce: str = "x") -> list[Event]:
        new = [event(seq, user, nonce) for seq in seqs]
        self.events[user] += new
        return new


class Client:
    """A client of a stream, which takes every message while `reads` is set."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.gone = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.gone.is_set():
            raise BrokenPipeError
        if not self.reads.is_set():
            await self.reads.wait()
        self.parts.append(message["body"])


class Streams:
    """A broadcast, its log, and its readers."""

    def __init__(self) -> None:
        self.log, self.hub = Log(), Hub()
        store = cast(Store, SimpleNamespace(events=self.log))
        self.broadcast = Broadcast(store, self.hub, Metrics("test"), SystemClock(), heartbeat=60.0)
        self.tasks = [asyncio.create_task(self.broadcast.pump())]

    async def open(self, user: int = ANN, after_seq: int = FIRST) -> Client:
        """Open a stream of the user's events after `after_seq`."""
        client = Client()
        reader = Reader(
            client.receive,
            client.send,
            key_hash="k",
            user_id=user,
            job_id=None,
            after_seq=after_seq,
        )
        self.tasks.append(asyncio.create_task(self.broadcast.follow(reader, _never_over)))
        await settled()
        self.log.reads.clear()
        return client

    def commit(self, *seqs: int, user: int = ANN, known: bool = True) -> None:
        """Append events and announce them; the announcement includes them if they are `known`."""
        new = self.log.append(*seqs, user=user)
        self.hub.announce(CommitNotice(users={user}, appended={user: new} if known else {}))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        ends = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends), ends


async def _never_over() -> None:
    return None


async def settled() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def parts_of(*seqs: int, user: int = ANN, nonce: str = "x") -> list[bytes]:
    return [frames.update(event(seq, user, nonce)) for seq in seqs]


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    streams = Streams()
    yield streams
    await streams.close()


async def test_events_of_this_process_are_pushed_without_a_read(streams: Streams) -> None:
    first, second, bobs = [await streams.open(user) for user in (ANN, ANN, BOB)]

    streams.commit(5)
    await settled()
    streams.commit(6, 7)
    streams.commit(8)
    streams.commit(5, user=BOB)
    await settled()

    assert first.parts == second.parts == parts_of(5, 6, 7, 8)
    assert bobs.parts == parts_of(5, user=BOB)
    assert streams.log.reads == []


async def test_a_reader_that_is_far_behind_reads_page_after_page(streams: Streams) -> None:
    last = FIRST + 2 * PAGE
    streams.log.append(*range(FIRST + 1, last + 1))
    reader = await streams.open(after_seq=0)
    await settled()
    assert reader.parts == parts_of(*range(1, last + 1))


async def test_the_pages_of_a_user_are_read_one_by_one(streams: Streams) -> None:
    streams.log.answers.clear()
    readers = [await streams.open(ANN, after_seq=0) for _ in range(3)]
    bobs = await streams.open(BOB, after_seq=0)
    assert streams.log.running == {ANN: 1, BOB: 1}

    streams.log.answers.set()
    await settled()

    assert all(reader.parts == parts_of(1, 2, 3, 4) for reader in readers)
    assert bobs.parts == parts_of(1, 2, 3, 4, user=BOB)


@pytest.mark.parametrize("order", [(6, 5), (5, 7, 6, 8), (7, 6, 5)])
async def test_events_are_pushed_in_order_whatever_the_order_of_their_announcements(
    streams: Streams, order: tuple[int, ...]
) -> None:
    reader = await streams.open()

    by_seq = {new.cursor.seq: new for new in streams.log.append(*sorted(order), user=ANN)}
    for seq in order:
        streams.hub.announce(CommitNotice(users={ANN}, appended={ANN: [by_seq[seq]]}))
    await settled()

    assert reader.parts == parts_of(*sorted(order))


@pytest.mark.parametrize("missing", [5, 6])
async def test_a_gap_is_read(streams: Streams, missing: int) -> None:
    """The gap is before the events that were appended here, or between them."""
    reader = await streams.open()

    for seq in (5, 6, 7):
        if seq == missing:
            streams.log.append(seq)  # without an announcement
        else:
            streams.commit(seq)
    await settled()

    assert reader.parts == parts_of(5, 6, 7)
    assert streams.log.reads[0] == (ANN, 3)
    # From there on, events are pushed without a read.
    streams.log.reads.clear()
    streams.commit(8)
    await settled()
    assert reader.parts == parts_of(5, 6, 7, 8)
    assert streams.log.reads == []


async def test_an_event_that_was_read_is_not_pushed_again(streams: Streams) -> None:
    reader = await streams.open()
    streams.log.answers.clear()
    streams.commit(5, known=False)
    await settled()
    assert streams.log.reads == [(ANN, 3)]

    streams.commit(6)
    streams.log.answers.set()
    await settled()
    streams.commit(7)
    await settled()

    assert reader.parts == parts_of(5, 6, 7)


async def test_a_waiting_reader_gets_heartbeats_and_goes_on_if_it_lags() -> None:
    client = Client()
    reader = Reader(client.receive, client.send, key_hash="k", user_id=1, job_id=None, after_seq=0)
    reader.beat(0.01)
    await asyncio.sleep(0.03)
    assert client.parts == [], "it catches up"

    waiting = asyncio.create_task(reader.wait_until_woken())
    await wait_for_length(client.parts, 2, "heartbeats")
    assert set(client.parts) == {frames.HEARTBEAT}
    assert not waiting.done()

    client.reads.clear()
    await asyncio.wait_for(waiting, 10.0)
    reader.close()


async def test_events_for_a_reader_that_left_are_dropped(streams: Streams) -> None:
    await streams.open()
    streams.commit(5)
    leaving = streams.tasks.pop()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    again = await streams.open()
    streams.commit(6)
    await settled()
    assert again.parts == parts_of(5, 6)


async def test_one_read_finds_the_logs_that_have_grown_elsewhere(streams: Streams) -> None:
    readers = [await streams.open(), await streams.open(BOB)]
    streams.log.append(5, user=BOB)

    streams.hub.notify_all()
    await settled()

    assert streams.log.looks == [[ANN, BOB]]
    assert [user for user, _ in streams.log.reads[-2:]] == [BOB, BOB]
    assert [reader.parts for reader in readers] == [[], parts_of(5, user=BOB)]


# --- a log that has gone back ---------------------------------------------------------------------


@pytest.mark.parametrize("grown_again", [(), (5,), (5, 6), (5, 6, 7)])
async def test_streams_end_if_events_that_were_pushed_are_lost(
    streams: Streams, grown_again: tuple[int, ...]
) -> None:
    """A client that reconnects with the cursor of a lost event gets a reset."""
    anns, bobs = await streams.open(), await streams.open(BOB)
    streams.commit(5, 6, known=False)
    await settled()

    del streams.log.events[ANN][FIRST:]
    streams.log.append(*grown_again, nonce="y")
    streams.hub.notify_all()
    await settled()

    assert anns.parts == parts_of(5, 6)
    assert [task.done() for task in streams.tasks] == [False, True, False]
    again = await streams.open()
    last = FIRST + len(grown_again) + 1
    streams.log.append(last, nonce="y")
    streams.commit(5, user=BOB)
    streams.hub.notify_all()
    await settled()
    assert again.parts == parts_of(*grown_again, last, nonce="y")
    assert bobs.parts == parts_of(5, user=BOB)


async def test_a_lagging_client_holds_one_event_and_reads_the_others_later(
    streams: Streams,
) -> None:
    slow, fast = await streams.open(), await streams.open()
    slow.reads.clear()
    for seq in (5, 6, 7):
        streams.commit(seq)
        await settled()
    assert (slow.parts, fast.parts) == ([], parts_of(5, 6, 7))
    assert streams.log.reads == []

    slow.reads.set()
    await settled()
    streams.commit(8)
    await settled()

    assert slow.parts == fast.parts == parts_of(5, 6, 7, 8)
    assert streams.log.reads == [(ANN, 5)]


async def test_a_stream_ends_once_its_client_has_gone(streams: Streams) -> None:
    waiting = await streams.open()
    lagging, ended = await streams.open(), streams.tasks[-1]
    lagging.reads.clear()
    streams.commit(5)
    await settled()
    for client in (waiting, lagging):
        client.gone.set()
    lagging.reads.set()
    await settled()
    assert [task.done() for task in streams.tasks] == [False, True, True]
    assert ended.exception() is None
    assert not streams.broadcast.readers


async def test_the_failure_of_one_client_ends_no_other_stream(streams: Streams) -> None:
    first, second = await streams.open(), await streams.open()

    async def send(message: Message) -> None:
        raise RuntimeError("a bug of the server")

    next(iter(streams.broadcast.readers))._send = send
    streams.commit(5)
    await settled()
    assert (first.parts, second.parts) == ([], parts_of(5))
    assert [task.done() for task in streams.tasks] == [False, True, False]


async def test_a_stream_that_ends_while_it_catches_up_is_written_no_more(streams: Streams) -> None:
    reader = await streams.open()
    reader.reads.clear()
    streams.commit(5)
    await settled()
    streams.commit(6)
    await settled()
    streams.log.answers.clear()
    reader.reads.set()
    await settled()
    assert streams.log.reads == [(ANN, 5)]

    streams.broadcast.close()
    streams.log.answers.set()
    await settled()

    assert streams.tasks[-1].done()
    assert reader.parts == parts_of(5)


async def test_streams_go_on_if_retention_removes_what_was_pushed(streams: Streams) -> None:
    reader = await streams.open()
    for seq in (5, 6):
        streams.log.removed_seq = seq - 1
        streams.hub.notify_all()
        await settled()
        streams.commit(seq, known=False)
        await settled()

    assert reader.parts == parts_of(5, 6)
