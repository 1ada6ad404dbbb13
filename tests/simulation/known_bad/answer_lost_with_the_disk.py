"""What the provider answered is written once, and lost where the store cannot take it just then."""

from collections.abc import Awaitable, Callable
from unittest.mock import patch

from receiver.workers.submitter import Submitter
from store.errors import StoreUnavailable
from tests.simulation.known_bad.plans import put_off_while_the_disk_is_full
from tests.simulation.known_bad.variant import Variant


async def _once(_: Submitter, write: Callable[[], Awaitable[object]]) -> None:
    try:
        await write()
    except StoreUnavailable:
        return


VARIANT = Variant(
    lambda: patch.object(Submitter, "_until_stored", _once),
    caught_by=("what was surely not sent is not unknown",),
    plan=put_off_while_the_disk_is_full,
)
