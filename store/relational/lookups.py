"""Reads of one row each, by its key: those of one turn of the event loop are one statement.

A statement costs more than most rows. SQLite's driver gives the interpreter up several times at
each, and its thread then waits for the event loop to yield it; PostgreSQL has a round trip.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from store.errors import StoreError
from store.relational.session import Done, Failed, Outcome, Parameters, Readers, Row, tell
from store.relational.statements import ManyRows


@dataclass(slots=True)
class _Wanted:
    key: Hashable
    parameters: Parameters
    caller: asyncio.Future[Row | None]


class Lookups:
    """Lookups by one kind of key."""

    def __init__(self, readers: Readers, sql: str, key_of: Callable[[Row], Hashable]) -> None:
        """`sql` reads the rows of keys that are its `VALUES`; `key_of` says whose a row is."""
        self._readers = readers
        self._statement = ManyRows(sql)
        self._key_of = key_of
        self._waiting: list[_Wanted] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def find(self, key: Hashable, parameters: Parameters) -> Row | None:
        """The row of a key, which `parameters` name to the statement. Raises
        `StoreUnavailable`."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._begin)
        wanted = _Wanted(key, parameters, loop.create_future())
        self._waiting.append(wanted)
        return await wanted.caller

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        task = asyncio.create_task(self._read(waiting))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, waiting: Sequence[_Wanted]) -> None:
        found: dict[Hashable, Row] = {}
        failed: Outcome[Row | None] | None = None
        try:
            for sql, parameters in self._statement.bound([each.parameters for each in waiting]):
                for row in await self._readers.fetch(sql, parameters):
                    found[self._key_of(row)] = row
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller has to be told
            if len(waiting) > 1 and not isinstance(error, StoreError):
                # It is about one key (a text that no database takes), and the others' no matter.
                for each in waiting:
                    await self._read([each])
                return
            failed = Failed(error)
        for each in waiting:
            tell(each.caller, failed or Done(found.get(each.key)))
