"""The command that prints the counts finds nothing either."""

import pytest

from tests.security import addresses
from tests.webhooks.sinks import THIS_MACHINE


@pytest.mark.allow_hosts(THIS_MACHINE)
async def test_nothing_is_taken_and_nothing_is_connected_to() -> None:
    counts = await addresses.count()
    assert not [what for what in counts if "TAKEN" in what]
    assert counts["connections"] == 0
    assert sum(counts.values()) > 1_000
