"""Reads single rows by key; the lookups of one event-loop iteration share one statement.

A statement costs more than most rows. SQLite's driver releases the GIL several times in each, and
its thread then waits for the event loop to get it back; PostgreSQL needs a round trip.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from store.errors import StoreError
from store.session import Done, Failed, Outcome, Readers, Row, tell
from store.sql import MultiRowStatement

_Wanted: TypeAlias = tuple[str, asyncio.Future[Row | None]]
"""A key, and the future for its row."""


class Lookups:
    """Batches lookups by one kind of key."""

    def __init__(self, readers: Readers, sql: str) -> None:
        """`sql` reads the rows of the keys in `VALUES (:key)`; its first column is the key."""
        self._readers = readers
        self._statement = MultiRowStatement(sql)
        self._waiting: list[_Wanted] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def find(self, key: str) -> Row | None:
        """The row of a key. Raises `StoreUnavailable`."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._begin)
        caller: asyncio.Future[Row | None] = loop.create_future()
        self._waiting.append((key, caller))
        return await caller

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        task = asyncio.create_task(self._read(waiting))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, waiting: Sequence[_Wanted]) -> None:
        found: dict[str, Row] = {}
        failed: Outcome[Row | None] | None = None
        try:
            for sql, parameters in self._statement.bound([{"key": key} for key, _ in waiting]):
                found |= {row[0]: row for row in await self._readers.fetch(sql, parameters)}
        except Exception as error:  # noqa: BLE001 - every caller must get an outcome
            if len(waiting) > 1 and not isinstance(error, StoreError):
                # One bad key (a text that the database rejects) must not fail the others.
                for each in waiting:
                    await self._read([each])
                return
            failed = Failed(error)
        for key, caller in waiting:
            tell(caller, failed or Done(found.get(key)))
