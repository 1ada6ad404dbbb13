"""Makes work wait behind a store's writer."""

import asyncio
from threading import Event
from typing import Any

from store.writer import Writer


class Gate:
    """A unit of work that lasts until it is opened."""

    def __init__(self) -> None:
        self.entered = Event()
        self._opened = Event()

    def open(self) -> None:
        self._opened.set()

    def __call__(self, _session: Any, _notice: Any) -> None:
        self.entered.set()
        self._opened.wait(10)


async def block(writer: Writer) -> tuple[Gate, asyncio.Future[None]]:
    """A gate that blocks the writer now (on PostgreSQL, one of its threads), and the future of its
    work."""
    gate = Gate()
    blocked = asyncio.ensure_future(writer.urgent(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    return gate, blocked
