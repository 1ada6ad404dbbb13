"""Reads, which see the last commit and never write. They also send NOTIFY.

A read is one statement, and so one snapshot.
"""

import psycopg

from store.postgres.pool import Pool, Threads
from store.session import Parameters, Row


class PostgresReadPool:
    """Implements `store.session.ReadPool`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._threads = Threads("store-reads")

    async def fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        def read(connection: psycopg.Connection) -> list[Row]:
            return connection.execute(sql.encode(), parameters, binary=True).fetchall()

        return await self._threads.run(lambda: self._pool.run(read))

    async def close(self) -> None:
        await self._threads.close()
