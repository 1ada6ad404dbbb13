"""Serves a simulated provider on a port, embedded in a service or as a separate process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from receiver.clock import Clock
from receiver.config.settings import SandboxSettings
from receiver.server.serve import listen, origin, serving
from receiver.simulator.api import SimulatorApi
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.jobs import Jobs


def simulator_rules(settings: SandboxSettings) -> SimulatorRules:
    """The faults from the settings."""
    return SimulatorRules(
        render_seconds=settings.sandbox_render,
        places=settings.sandbox_places,
        drop_callbacks=settings.sandbox_drop_callbacks,
        duplicate_callbacks=settings.sandbox_duplicate_callbacks,
        fail_jobs=settings.sandbox_fail_jobs,
        submit_timeouts=settings.sandbox_submit_timeouts,
    )


@asynccontextmanager
async def simulator(
    rules: SimulatorRules,
    clock: Clock,
    api: SimulatorApi,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    callback_transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[str]:
    """Serve a simulator while the block runs; yields its origin, `http://HOST:PORT`.

    Port 0 takes a free one. `callback_transport` carries the callbacks instead of real connections.
    At the end, open requests are cut off: submissions that are never answered would keep it running
    forever.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
    """
    # A new connection for each callback: if the server closed a reused one, a callback would be
    # lost that no rule drops.
    limits = httpx.Limits(max_keepalive_connections=0)
    with listen(host, port) as listener:
        url = origin(listener)
        async with httpx.AsyncClient(
            transport=callback_transport, trust_env=False, limits=limits
        ) as http:
            jobs = Jobs(rules, url, clock, http, api)
            async with serving(api.app(jobs, url), listener, grace=0):
                yield url
            await jobs.close()
