"""Makes work wait in the queue behind a batch of a store's writer."""

import asyncio
from threading import Event
from typing import Any

import pytest

from store.writer import ThreadedWriter, Writer


class Gate:
    """A work that blocks the writer until it is opened."""

    def __init__(self) -> None:
        self.entered = Event()
        self._opened = Event()

    def open(self) -> None:
        self._opened.set()

    def __call__(self, _session: Any, _effects: Any) -> None:
        self.entered.set()
        self._opened.wait(10)


async def block(writer: Writer) -> tuple[Gate, asyncio.Future[None]]:
    """A gate that blocks the writer now, and the future of its work."""
    gate = Gate()
    blocked = asyncio.ensure_future(writer.urgent(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    return gate, blocked


def next_batch(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the writer begins its next batch: work that is queued then is not in it."""
    assert isinstance(writer, ThreadedWriter)
    loop, begun, run = asyncio.get_running_loop(), asyncio.Event(), writer._runner.run

    def notify_and_run(*works: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        return run(*works)

    monkeypatch.setattr(writer._runner, "run", notify_and_run)
    return begun
