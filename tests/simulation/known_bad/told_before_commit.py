"""Streams get an event inside the transaction that writes it, and not after its commit."""

from typing import Any
from unittest.mock import patch

from receiver.streams.broadcast import Broadcast
from store.records import Event
from store.sqlite import batches
from tests.simulation.known_bad.variant import Patch, Variant, together

_make, _append = Broadcast.__init__, batches._append
_broadcasts: list[Broadcast] = []


def _remember(self: Broadcast, *given: Any, **named: Any) -> None:
    _make(self, *given, **named)
    _broadcasts[:] = [self]


def _append_and_push(db: Any, events: Any) -> dict[int, list[Event]]:
    appended = _append(db, events)
    for user_id, theirs in appended.items():
        for broadcast in _broadcasts:
            channel = broadcast._channels.get(user_id)
            for event in theirs:
                if channel is not None:
                    channel.push(event)
    return appended


def _applied() -> Patch:
    return together(
        patch.object(Broadcast, "__init__", _remember),
        patch.object(batches, "_append", _append_and_push),
    )


VARIANT = Variant(_applied, caught_by=("a stream is a prefix of the truth",))
