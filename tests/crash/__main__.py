"""`python -m tests.crash [--rounds N]`: run any number of rounds of kills.

Worlds of 50 rounds follow one another. A world that loses or doubles anything is printed with its
seed, and the exit status is 1.
"""

import sys

from tests.crash.random_kills import killed_under_load
from tests.support import long_runs

ROUNDS_PER_WORLD = 50
"""Rounds in one world."""

if __name__ == "__main__":
    sys.exit(
        long_runs.run("tests.crash", __doc__ or "", "rounds", ROUNDS_PER_WORLD, killed_under_load)
    )
