"""A connection that times out when the server sends nothing.

TCP's own timeouts (address.py) detect that the server's machine is gone. They do not detect that
its processes are paused, or hang on a stuck disk: the kernel still acknowledges all that is sent.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout

RV = TypeVar("RV")

RECEIVE_TIMEOUT = 12.0
"""Seconds to wait for the next data of an answer: longer than the server's own timeout for a
statement (`begin` in queries/database.sql), so that the server's error comes first."""


class ConnectionWithTimeout(psycopg.Connection):
    """Closes itself after `RECEIVE_TIMEOUT`, and raises `ConnectionTimeout`."""

    def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:
        """Like psycopg's, which resumes `gen` ten times a second even if no data has arrived."""
        return super().wait(self._with_receive_timeout(gen), *arguments, **options)

    def _with_receive_timeout(self, gen: PQGen[RV]) -> PQGen[RV]:
        try:
            awaited = next(gen)
            since = time.monotonic()
            while True:
                ready = yield awaited
                if ready:
                    since = time.monotonic()
                elif time.monotonic() - since > RECEIVE_TIMEOUT:
                    self.pgconn.finish()
                    raise ConnectionTimeout(f"the server sent nothing for {RECEIVE_TIMEOUT:g} s")
                awaited = gen.send(ready)
        except StopIteration as end:
            result: RV = end.value
            return result
