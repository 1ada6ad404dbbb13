"""`python -m tests.failover [--failovers N]`: PostgreSQL on three machines (Patroni on each,
etcd on three others, HAProxy in front) under at most 50 jobs a second, while the leader is killed,
cut off and paused in turn.

The machines are network and process namespaces, so this needs root on Linux. A world that loses or
doubles anything is printed, and the exit status is 1.
"""

import os
import sys

from tests.failover.database import missing
from tests.failover.faults import KINDS, failed_over
from tests.failover.machines import make_bridge
from tests.support import long_runs

ALONE = "RECEIVER_TEST_FAILOVER_ALONE"
"""Set in the process that is alone in its namespaces, with which all machines end."""


def _main() -> int:
    if os.geteuid() != 0:
        sys.exit("Run it as root: it makes network namespaces.")
    if absent := missing():
        sys.exit(f"Not installed: {', '.join(absent)}.")
    if ALONE not in os.environ:
        again = [sys.executable, "-m", "tests.failover", *sys.argv[1:]]
        unshare = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", *again]
        os.execvpe("unshare", unshare, os.environ | {ALONE: "yes"})
    make_bridge()
    return long_runs.run("tests.failover", __doc__ or "", "failovers", len(KINDS), failed_over)


if __name__ == "__main__":
    sys.exit(_main())
