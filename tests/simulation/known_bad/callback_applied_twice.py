"""Two workers that have read the same callback both apply it."""

from typing import Any
from unittest.mock import patch

from store.relational.jobs import SqlJobs
from tests.simulation.known_bad.plans import stalled_while_it_applies
from tests.simulation.known_bad.variant import Variant

_advance = SqlJobs.advance


async def _blindly(self: SqlJobs, job_id: str, decide: Any, **_: Any) -> tuple[Any, Any]:
    return await _advance(self, job_id, decide)


VARIANT = Variant(
    lambda: patch.object(SqlJobs, "advance", _blindly),
    caught_by=("a verdict is given once",),
    seeds=100,
    plan=stalled_while_it_applies,
)
