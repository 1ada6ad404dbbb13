"""`python -m tests.simulation --seeds N [--first S] [--campaign FILE]`: run any number of seeds.

A seed that fails is shrunk and printed, and the exit status is 1. A campaign adds up the runs on
the current sources, and continues with the first seed that was not run on them.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.simulation.schedule import random_schedule
from tests.simulation.shrink import report, shrunk
from tests.simulation.simulate import Result, simulate
from tests.support.campaign import Campaign

SEEDS_PER_BATCH = 50
"""Seeds between two writes to the campaign's file."""
TRAFFIC = {"submit", "cancel", "follow", "crash"}
"""Actions that do not count as faults; a crash counts only as the death that it causes."""


def main() -> int:
    """Run the seeds that the command line asks for; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, help="the first (default: the campaign's next, or 0)")
    parser.add_argument("--campaign", type=Path, help="the file to add the sums to")
    parser.add_argument("--whole", action="store_true", help="print the whole journal of each")
    given = parser.parse_args()
    campaign = Campaign("simulation", given.campaign)
    first = campaign.done if given.first is None else given.first
    began, failures, hours = time.monotonic(), 0, 0.0
    for start in range(first, first + given.seeds, SEEDS_PER_BATCH):
        failed, faults = 0, Counter[str]()
        some = range(start, min(start + SEEDS_PER_BATCH, first + given.seeds))
        for seed in some:
            result = simulate(random_schedule(seed))
            hours += result.seconds / 3_600
            faults += injected(result)
            if given.whole:
                print("\n".join(result.journal))
            if result.failure is not None:
                failed += 1
                print(report(result, shrunk(result, simulate)), end="\n\n", flush=True)
        campaign.add(len(some), failed, faults)
        failures += failed
    took = time.monotonic() - began
    print(f"{given.seeds} seeds, {failures} failed, {hours:,.0f} virtual hours in {took:.0f} s")
    return 1 if failures else 0


def injected(result: Result) -> Counter[str]:
    """The number of faults in a run, by kind."""
    faults = Counter[str]()
    for line in result.journal:
        _, _, what, *details = line.split(maxsplit=4)
        if what == "death":
            faults["deaths"] += 1
        elif what == "action" and details[0] not in TRAFFIC:
            faults[details[0].replace("_", " ")] += 1
    return faults


if __name__ == "__main__":
    sys.exit(main())
