"""The read connection (aiosqlite), which sees the last commit and never writes.

A read is one statement, and so one snapshot. It runs and finishes within one hop to the thread of
the connection: a read transaction left open while its caller awaits would keep the write-ahead log
from being checkpointed.
"""

from functools import partial
from pathlib import Path
from typing import Self, cast

import aiosqlite

from store.session import Parameters, Row
from store.sqlite.connection import connect_reader
from store.sqlite.failures import translate_errors


class SqliteReadPool:
    """Implements `store.session.ReadPool`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the connection. The caller must close it: it is a thread."""
        with translate_errors():
            return cls(
                await aiosqlite.Connection(partial(connect_reader, path), iter_chunk_size=64)
            )

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        with translate_errors():
            rows = await self._connection.execute_fetchall(sql, parameters)
        return cast(list[Row], rows)

    async def close(self) -> None:
        await self._connection.close()
