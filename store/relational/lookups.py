"""Reads of one row each, by its key: those of one turn of the event loop are one statement.

A statement costs more than most rows. SQLite's driver gives the interpreter up several times at
each, and its thread then waits for the event loop to yield it; PostgreSQL has a round trip.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from store.errors import StoreError
from store.relational.session import Done, Failed, Outcome, Readers, Row, tell
from store.relational.statements import ManyRows

_Wanted: TypeAlias = tuple[str, asyncio.Future[Row | None]]
"""A key, and who waits for its row."""


class Lookups:
    """Lookups by one kind of key."""

    def __init__(self, readers: Readers, sql: str) -> None:
        """`sql` reads the rows of the keys in `VALUES (:key)`, each with its key in front."""
        self._readers = readers
        self._statement = ManyRows(sql)
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
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller has to be told
            if len(waiting) > 1 and not isinstance(error, StoreError):
                # It is about one key (a text that no database takes), and the others' no matter.
                for each in waiting:
                    await self._read([each])
                return
            failed = Failed(error)
        for key, caller in waiting:
            tell(caller, failed or Done(found.get(key)))
