"""Ports for servers that are started later, or more than once."""

import itertools
import os
import random
import socket
from contextlib import suppress

# Below the ports that the system gives to clients: while a service is down, a client that tries to
# reach a port of those can be given that very port, and then talks to itself. The processes of a
# test run share none, and none is given twice.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 5
_PORTS = range(20_000 + 2_000 * _WORKER, 22_000 + 2_000 * _WORKER)
_next_port = itertools.cycle(random.sample(_PORTS, len(_PORTS))).__next__


def free_port() -> int:
    """A port that nobody listens on."""
    for port in (_next_port() for _ in _PORTS):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
