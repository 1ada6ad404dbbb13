"""The command line of the long runs: it breaks one world after another, and counts the faults."""

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
    wanted = left = vars(parser.parse_args())[unit]
    began, failures, injected = time.monotonic(), 0, Counter[str]()
    while left > 0:
        size = min(left, world_size)
        failed, faults = _run_one(unit, size, run_world)
        injected += faults
        failures += failed
        left -= size
    took = time.monotonic() - began
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(injected.items()))
    print(f"{wanted:,} {unit}, {failures} worlds failed, in {took:.0f} s; {counts}")
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
