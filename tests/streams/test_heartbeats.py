"""`Heartbeats` alone, without streams."""

from typing import Any, cast

import pytest

from receiver.clock import SystemClock
from receiver.streams.heartbeats import Heartbeats
from receiver.streams.reader import Reader
from store.database import Store
from store.errors import StoreUnavailable
from tests.streams.test_broadcast import FakeConnection, no_send


class UnreachableStore:
    """A store that cannot be reached."""

    @property
    def keys(self) -> Any:
        raise StoreUnavailable("the server is away")


class ThreeBeats(Exception):
    """Ends the loop after three beats."""


async def test_heartbeats_go_on_while_the_store_is_away() -> None:
    beats: list[Reader] = []

    def beat(reader: Reader) -> None:
        beats.append(reader)
        if len(beats) == 3:
            raise ThreeBeats

    heartbeats = Heartbeats(cast(Store, UnreachableStore()), SystemClock(), 0.01, beat)
    heartbeats.add(
        Reader(no_send, FakeConnection(), key_hash="k", user_id=1, job_id=None, after_seq=0)
    )
    with pytest.raises(ThreeBeats):
        await heartbeats.run()
