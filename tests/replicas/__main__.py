"""`python -m tests.replicas [--jobs N] [--campaign FILE]`: as many jobs as wished over three
replicas, while they, their pooler and their database are killed.

Worlds of 10,000 jobs follow each other. One that loses or doubles anything is printed with its
seed, and the exit status is 1. A campaign adds up what was run on the core as it is.
"""

import sys

from tests.replicas.faults import broken_under_load
from tests.support import worlds

WORLD = 10_000
"""Jobs in one world."""

if __name__ == "__main__":
    sys.exit(worlds.run("tests.replicas", __doc__ or "", "jobs", WORLD, broken_under_load))
