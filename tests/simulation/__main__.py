"""`python -m tests.simulation --seeds N [--first S]`: as many seeds as wished.

A seed that fails is shrunk and printed, and the exit status is 1.
"""

import argparse
import sys
import time

from tests.simulation.schedule import schedule
from tests.simulation.shrink import report, shrunk
from tests.simulation.simulate import simulate


def main() -> int:
    """Run the seeds that the command line asks for; the number of those that failed, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--whole", action="store_true", help="print the whole journal of each")
    given = parser.parse_args()
    began, failures, hours = time.monotonic(), 0, 0.0
    for seed in range(given.first, given.first + given.seeds):
        result = simulate(schedule(seed))
        hours += result.seconds / 3_600
        if given.whole:
            print("\n".join(result.journal))
        if result.failure is not None:
            failures += 1
            print(report(result, shrunk(result, simulate)), end="\n\n")
    took = time.monotonic() - began
    print(f"{given.seeds} seeds, {failures} failed, {hours:,.0f} virtual hours in {took:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
