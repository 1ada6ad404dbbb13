"""`python -m tests.crash [--rounds N] [--campaign FILE]`: as many rounds of kills as wished.

Worlds of 50 rounds follow each other. One that loses or doubles anything is printed with its seed,
and the exit status is 1. A campaign adds up what was run on the core as it is.
"""

import sys

from tests.crash.random_kills import killed_under_load
from tests.support import worlds

WORLD = 50
"""Rounds in one world."""

if __name__ == "__main__":
    sys.exit(worlds.run("tests.crash", __doc__ or "", "rounds", WORLD, killed_under_load))
