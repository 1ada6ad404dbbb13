"""Ports for servers that are started later, or more than once."""

import contextlib
import random
import socket

# Below the ports that the system gives to clients: while the service is down, a client that tries
# to reach a port of those can be given that very port, and then talks to itself.
PORTS = range(20_000, 30_000)


def free_port() -> int:
    """A port that nobody listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
