"""The command line of the long runs: it breaks one world after another and adds up the results."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.support.campaign import Campaign

RunWorld = Callable[[Path, int, int], Coroutine[Any, Any, tuple[object, Counter[str]]]]
"""Breaks one world, in this folder, of this many units and from this seed. Returns what it came to,
and the number of faults by kind. Raises AssertionError if anything was lost or doubled."""


def run(prog: str, description: str, unit: str, world_size: int, run_world: RunWorld) -> int:
    """Run the units that the command line asks for, at most `world_size` of them in one world.
    Returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=description)
    parser.add_argument(
        f"--{unit}", type=int, default=world_size, help=f"how many (default {world_size:,})"
    )
    parser.add_argument("--campaign", type=Path, help="the file to add the sums to")
    given = parser.parse_args()
    campaign = Campaign(prog.removeprefix("tests."), given.campaign)
    wanted = left = vars(given)[unit]
    began, failures = time.monotonic(), 0
    while left > 0:
        size = min(left, world_size)
        failed, faults = _run_one(unit, size, run_world)
        campaign.add(size, failed, faults)
        failures += failed
        left -= size
    took = time.monotonic() - began
    print(f"{wanted:,} {unit}, {failures} worlds failed, in {took:.0f} s")
    return 1 if failures else 0


def _run_one(unit: str, size: int, run_world: RunWorld) -> tuple[int, Counter[str]]:
    """Run one world: 1 if it failed, else 0, and the number of faults by kind."""
    seed = random.SystemRandom().getrandbits(32)
    with tempfile.TemporaryDirectory() as name:
        try:
            _, faults = asyncio.run(run_world(Path(name), size, seed))
        except AssertionError:
            print(f"seed {seed}, {size} {unit}:")
            traceback.print_exc(file=sys.stdout)
            return 1, Counter()
        return 0, faults
