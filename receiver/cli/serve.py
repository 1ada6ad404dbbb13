"""`serve` and `sandbox`: commands that run until they are stopped."""

import asyncio
import gc
import os
import signal
import sys
from typing import Annotated

import structlog
import typer

from receiver.cli.common import coroutine
from receiver.clock import SystemClock
from receiver.config.environment import load
from receiver.config.settings import LogSettings, SandboxSettings
from receiver.providers import entries
from receiver.providers.settings import (
    PriceSettings,
    ServiceSettings,
    known_entries,
    with_providers,
)
from receiver.server.serve import allow_many_connections, listen, origin, serving
from receiver.telemetry import logs

Host = Annotated[str | None, typer.Option(help="The address to listen on (RECEIVER_HOST).")]
Port = Annotated[int | None, typer.Option(help="The port to listen on (RECEIVER_PORT).")]

SWITCH_SECONDS = 0.001
"""How long the event loop may keep the GIL while the store's thread waits for it, which happens
after each SQLite call. Python's default, 5 ms, would be most of the time of a small batch."""

STOP_SECONDS = 8.0
"""Time for requests to finish at shutdown; then their connections are cut."""

END_SECONDS = 9.5
"""Time for the whole shutdown; then the process exits as if it were killed."""

log = structlog.get_logger()


@coroutine
async def serve(
    host: Host = None,
    port: Port = None,
    restored: Annotated[
        bool,
        typer.Option(
            "--restored",
            help="The database is an older copy that `receiver backup` did not make. Jobs that it"
            " shows as unsent may have been sent since: do not send them again.",
        ),
    ] = False,
) -> None:
    """Run the service, until SIGTERM or Ctrl-C."""
    settings = load(with_providers(ServiceSettings), host=host, port=port)
    _begin_log(settings)

    # Imported here: it is slow, and other commands do not need it.
    from receiver.app import opened, running_on

    allow_many_connections()
    sys.setswitchinterval(SWITCH_SECONDS)
    # The store first: "another service runs on it" is a better error than "port in use".
    async with opened(settings) as (store, metrics):
        if restored:
            await store.mark_as_copy()
        with listen(settings.host, settings.port) as listener:
            settings = settings.with_port(listener.getsockname()[1])
            async with running_on(store, metrics, settings, SystemClock()) as service:
                stop = stop_signal()
                # A full collection would look at every module again, for 40 ms each time.
                gc.collect()
                gc.freeze()
                async with serving(service.app, listener, grace=STOP_SECONDS):
                    provider = ", ".join(settings.provider_names)
                    if not await store.keys.list_page("", 1):
                        log.info("no keys yet: `receiver keys create USER` makes one")
                    log.info("serving", url=origin(listener), provider=provider)
                    await stop.wait()
                    log.info("stopping")
                    asyncio.get_running_loop().call_later(END_SECONDS, _exit_at_once)
                    service.begin_stop()
    log.info("stopped")


class _Sandbox(PriceSettings, SandboxSettings, LogSettings):
    """The settings of the sandbox alone."""


def _known(name: str) -> str:
    names = [entry.name for entry in known_entries()]
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, names))}.")
    return name


@coroutine
async def sandbox(
    provider: Annotated[
        str,
        typer.Option(help="The API that the sandbox imitates.", metavar="NAME", callback=_known),
    ] = entries()[0].name,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(help="The port to listen on; 0 selects one that is free.", min=0, max=65_535),
    ] = 8001,
) -> None:
    """Run a simulated provider alone, until SIGTERM or Ctrl-C. It costs nothing."""
    host = host or "127.0.0.1"  # an empty one would be every interface
    settings = load(with_providers(_Sandbox))
    _begin_log(settings)

    from receiver.providers.registry import simulator_api
    from receiver.simulator import run

    api, rules = simulator_api(provider, settings), run.simulator_rules(settings)
    stop = stop_signal()
    async with run.simulator(rules, SystemClock(), api, host=host, port=port) as origin:
        log.info("serving the sandbox", url=origin + api.path)
        await stop.wait()


def _begin_log(settings: LogSettings) -> None:
    logs.configure(settings.log_format, settings.log_level)
    logs.redact_values(settings.secrets())
    for warning in settings.warnings():
        log.warning(warning)


def stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set from now on, instead of ending the process."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _exit_at_once() -> None:
    """End the process at once, whatever hangs (such as the store's thread, or a read that cannot be
    cancelled). The data on disk is as after a kill."""
    try:
        log.error("the service did not stop in time: it exits now, as if it were killed")
    finally:
        os._exit(1)
