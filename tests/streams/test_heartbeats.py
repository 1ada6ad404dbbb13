"""`Heartbeats` alone, without streams."""

import asyncio
from typing import Any, cast

import pytest

from receiver.clock import SystemClock
from receiver.streams import frames
from receiver.streams.heartbeats import Heartbeats
from receiver.streams.reader import Reader
from store.database import Store
from store.errors import StoreUnavailable
from store.keys import ApiKey
from store.records.times import Millis
from tests.streams.test_broadcast import FakeConnection, no_send
from tests.support.manual_clock import ManualClock

TIMEOUT = 10.0


class UnreachableStore:
    """A store that cannot be reached."""

    @property
    def keys(self) -> Any:
        raise StoreUnavailable("the server is away")


class SlowKeys:
    """A store of keys. Each takes a second to read, and all are revoked after the first round."""

    def __init__(self, clock: ManualClock, count: int) -> None:
        self.keys = self
        self._clock, self._count, self._reads = clock, count, 0
        self.revoked_at: Millis | None = None

    async def find(self, key_hash: str) -> ApiKey:
        self._clock.advance(1.0)
        key = ApiKey(key_hash, "", 1, "ada", False, 0, self.revoked_at)
        self._reads += 1
        if self._reads == self._count:
            self.revoked_at = self._clock.now()
        if self._reads > 2 * self._count:
            raise ThirdRound
        return key


class TimedReader(Reader):
    """Records when it was ended."""

    def __init__(self, clock: ManualClock, key_hash: str) -> None:
        super().__init__(
            no_send, FakeConnection(), key_hash=key_hash, user_id=1, job_id=None, after_seq=0
        )
        self._clock = clock
        self.ended_at: Millis | None = None

    def end(self) -> None:
        self.ended_at = self._clock.now()
        super().end()


class ThirdRound(Exception):
    """Ends the loop when the keys are read for the third time."""


class ThreeBeats(Exception):
    """Ends the loop after three beats."""


class CountingReader(Reader):
    """Ends the loop at its third beat."""

    def __init__(self) -> None:
        super().__init__(
            no_send, FakeConnection(), key_hash="k", user_id=1, job_id=None, after_seq=0
        )
        self._beats = 0

    def beat(self) -> None:
        self._beats += 1
        if self._beats == 3:
            raise ThreeBeats


async def test_heartbeats_go_on_while_the_store_is_away() -> None:
    heartbeats = Heartbeats(cast(Store, UnreachableStore()), SystemClock(), 0.01)
    heartbeats.add(CountingReader())
    with pytest.raises(ThreeBeats):
        await heartbeats.run()


async def test_a_reader_gets_a_heartbeat_while_it_waits_and_goes_on_if_it_lags() -> None:
    connection = FakeConnection()
    reader = Reader(no_send, connection, key_hash="k", user_id=1, job_id=None, after_seq=0)
    reader.beat()
    assert connection.chunks == [], "it catches up"

    waiting = asyncio.create_task(reader.wait_until_woken())
    await asyncio.sleep(0)
    reader.beat()
    assert connection.chunks == [frames.HEARTBEAT]
    assert not waiting.done()

    connection.lags = True
    reader.beat()
    await asyncio.wait_for(waiting, TIMEOUT)


async def test_the_streams_of_revoked_keys_end_within_an_interval() -> None:
    interval, clock = 15.0, ManualClock()
    store = SlowKeys(clock, count=6)
    heartbeats = Heartbeats(cast(Store, store), clock, interval)
    readers = [TimedReader(clock, f"key {number}") for number in range(6)]
    for reader in readers:
        heartbeats.add(reader)

    with pytest.raises(ThirdRound):
        await heartbeats.end_revoked()

    assert store.revoked_at is not None
    late = store.revoked_at + round(interval * 1_000)
    assert all(reader.ended_at is not None and reader.ended_at <= late for reader in readers)
