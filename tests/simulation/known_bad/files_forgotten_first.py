"""Retention forgets which files to remove, and removes them then."""

from unittest.mock import patch

from receiver.archive.contract import folder_of
from receiver.workers.archiver import REMOVALS_AT_ONCE, Archiver
from tests.simulation.known_bad.plans import killed_at_retention
from tests.simulation.known_bad.variant import Variant


async def _forget_and_remove(self: Archiver) -> None:
    removals = await self._store.archive.removals(REMOVALS_AT_ONCE)
    if removals:
        await self._store.archive.forget(removals)
    for removal in removals:
        await self._archive.remove(folder_of(removal.user, removal.job_id))


VARIANT = Variant(
    lambda: patch.object(Archiver, "_remove", _forget_and_remove),
    caught_by=("retention leaves nothing",),
    plan=killed_at_retention,
)
