"""`python -m tests.replicas [--jobs N]`: run any number of jobs over three
replicas while the replicas, their pooler and their database are killed.

Worlds of 10,000 jobs follow one another. A world that loses or doubles anything is printed with its
seed, and the exit status is 1.
"""

import sys

from tests.replicas.faults import broken_under_load
from tests.support import long_runs

JOBS_PER_WORLD = 10_000
"""Jobs in one world."""

if __name__ == "__main__":
    sys.exit(
        long_runs.run("tests.replicas", __doc__ or "", "jobs", JOBS_PER_WORLD, broken_under_load)
    )
