"""`python -m tests.simulation --seeds N [--first S]`: run any number of seeds.

A seed that fails is shrunk and printed, and the exit status is 1.
"""

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.schedule import random_schedule
from tests.simulation.shrink import report, shrunk
from tests.simulation.simulate import simulate

SEEDS_PER_BATCH = 25
"""Each batch has a process of its own, without garbage collection: what a seed leaves behind makes
the later ones slower."""


@dataclass
class Batch:
    """The result of several seeds."""

    failures: int = 0
    hours: float = 0.0
    """Virtual hours."""
    lines: list[str] = field(default_factory=list)
    """What to print."""


def main() -> int:
    """Run the seeds that the command line asks for; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, default=0, help="the first (default 0)")
    parser.add_argument("--whole", action="store_true", help="print the whole journal of each")
    given = parser.parse_args()
    began, failures, hours = time.monotonic(), 0, 0.0
    simulate(
        random_schedule(given.first)
    )  # fills caches, which the processes of all batches inherit
    end = given.first + given.seeds
    for start in range(given.first, end, SEEDS_PER_BATCH):
        some = range(start, min(start + SEEDS_PER_BATCH, end))
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as process:
            batch = process.submit(run_batch, some, given.whole).result()
        for line in batch.lines:
            print(line)
        failures += batch.failures
        hours += batch.hours
    took = time.monotonic() - began
    print(f"{given.seeds} seeds, {failures} failed, {hours:,.0f} virtual hours in {took:.0f} s")
    return 1 if failures else 0


def run_batch(seeds: Sequence[int], whole: bool) -> Batch:
    """Run these seeds in this process, which is to end afterwards; `whole` prints all journals."""
    gc.disable()
    batch = Batch()
    for seed in seeds:
        result = simulate(random_schedule(seed))
        batch.hours += result.seconds / 3_600
        if whole:
            batch.lines += result.journal
        if result.failure is not None:
            batch.failures += 1
            batch.lines += [report(result, shrunk(result, simulate)), ""]
    return batch


if __name__ == "__main__":
    sys.exit(main())
