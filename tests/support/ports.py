"""Ports for servers that start later, or more than once."""

import itertools
import os
import random
import socket
from contextlib import suppress

# These lie below the ephemeral ports. While a service is down, a client that connects to an
# ephemeral port can be given that very port as its own, and then talks to itself. Each process of a
# test run has its own ports, and uses none twice; beyond 12 processes they are shared.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_PORTS = range(20_000 + 1_000 * _WORKER, 21_000 + 1_000 * _WORKER)
_next_port = itertools.cycle(random.sample(_PORTS, len(_PORTS))).__next__


def free_port() -> int:
    """A port that nobody listens on."""
    for port in (_next_port() for _ in _PORTS):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
