"""A connection that gives up on a server that says nothing.

TCP's own limits (address.py) notice a server's machine that is gone. They do not notice a server
whose processes hang, on a stuck disk or paused: its kernel still acknowledges all that is sent.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

RV = TypeVar("RV")

SILENCE = 12.0
"""Seconds that a server may say nothing while an answer is awaited: longer than it may take for a
statement (`batches.STATEMENT_TIMEOUT`), so that its own error comes first."""


class ImpatientConnection(psycopg.Connection):
    """Closes itself, and fails like a connection that was lost, after `SILENCE`."""

    def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:
        """As psycopg's, which wakes its generator ten times a second even if nothing has come."""
        return super().wait(self._heard(gen), *arguments, **options)

    def _heard(self, gen: PQGen[RV]) -> PQGen[RV]:
        try:
            awaited = next(gen)
            since = time.monotonic()
            while True:
                ready = yield awaited
                if ready:
                    since = time.monotonic()
                elif time.monotonic() - since > SILENCE:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server said nothing for {SILENCE:g} s")
                awaited = gen.send(ready)
        except StopIteration as end:
            result: RV = end.value
            return result
