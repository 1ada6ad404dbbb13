"""Reads single rows by key; the lookups of one event-loop iteration share one statement."""

from collections.abc import Awaitable, Sequence

from store.call_batcher import CallBatcher
from store.errors import StoreError
from store.session import Done, Failed, Outcome, Readers, Row
from store.sql import MAX_ROWS, bind_rows


class Lookups:
    """Batches lookups by one kind of key."""

    def __init__(self, readers: Readers, sql: str) -> None:
        """`sql` reads the rows of the keys in `VALUES (:key)`; its first column is the key."""
        self._readers = readers
        self._sql = sql
        self._batcher = CallBatcher(self._read, MAX_ROWS)

    def find(self, key: str) -> Awaitable[Row | None]:
        """The row of a key. Raises `StoreUnavailable`."""
        return self._batcher(key)

    async def _read(self, keys: Sequence[str]) -> Sequence[Outcome[Row | None]]:
        ((sql, parameters),) = bind_rows(self._sql, [{"key": key} for key in keys])
        try:
            found = {row[0]: row for row in await self._readers.fetch(sql, parameters)}
        except Exception as error:  # noqa: BLE001 - it belongs to the callers
            if len(keys) == 1 or isinstance(error, StoreError):
                return [Failed(error) for _ in keys]
            # One bad key (a text that the database rejects) must not fail the others.
            return [outcome for key in keys for outcome in await self._read([key])]
        return [Done(found.get(key)) for key in keys]
