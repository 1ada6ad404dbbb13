"""SIGKILL at moments that nobody has chosen: under jobs, streams, and a provider at its worst."""

import random
from pathlib import Path

import pytest

from tests.crash.random_kills import killed_under_load

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(600)]

ROUNDS = 50


async def test_fifty_kills_under_load_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"\nseed {seed}")

    tally, _ = await killed_under_load(tmp_path, ROUNDS, seed)

    # Enough was under way when it died, each time, to have lost something.
    assert tally.jobs > ROUNDS
    assert tally.callbacks > ROUNDS / 2
    assert tally.streams > ROUNDS
