"""Three replicas on one database, and faults among them and of the database."""

import random
from pathlib import Path

import pytest

from tests.replicas.faults import broken_under_load
from tests.support.postgres_server import binaries

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.timeout(400),
    pytest.mark.skipif(binaries() is None, reason="no PostgreSQL: see the test extra"),
]

JOBS = 700


async def test_whatever_breaks_among_three_replicas_nothing_is_lost_or_paid_twice(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"\nseed {seed}")

    tally, faults = await broken_under_load(tmp_path, JOBS, seed)

    print(dict(faults))
    assert tally.jobs == JOBS
    databases = ("databases stopped (fast)", "databases stopped (immediate)")
    assert min(faults[kind] for kind in ("replicas killed", "replicas restarted", *databases)) >= 1
    assert tally.rounds >= 6
    assert tally.streams > tally.rounds
    # Jobs that a replica was submitting when it died, and that never got a callback.
    assert tally.unknown < JOBS / 20
