"""`serve` and `sandbox`: commands that run until they are stopped."""

from typing import Annotated

import structlog
import typer

from receiver.cli.common import coroutine
from receiver.clock import SystemClock
from receiver.config.environment import load
from receiver.config.settings import LogSettings, SandboxSettings
from receiver.providers import entries
from receiver.providers.settings import PriceSettings, ServiceSettings, with_providers
from receiver.telemetry import logs

Host = Annotated[str | None, typer.Option(help="The address to listen on (RECEIVER_HOST).")]
Port = Annotated[int | None, typer.Option(help="The port to listen on (RECEIVER_PORT).")]

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
    from receiver import app

    await app.serve(settings, restored=restored)
    log.info("stopped")


class _Sandbox(PriceSettings, SandboxSettings, LogSettings):
    """The settings of the sandbox alone."""


def _known(name: str) -> str:
    names = [entry.name for entry in entries()]
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

    from receiver.app import stop_signal
    from receiver.providers.registry import simulator_api
    from receiver.simulator import run

    api, rules = simulator_api(provider, settings), run.sandbox_rules(settings)
    stop = stop_signal()
    async with run.sandbox(rules, SystemClock(), api, host=host, port=port) as origin:
        log.info("serving the sandbox", url=origin + api.path)
        await stop.wait()


def _begin_log(settings: LogSettings) -> None:
    logs.configure(settings.log_format, settings.log_level)
    logs.redact_values(settings.secrets())
    for warning in settings.warnings():
        log.warning(warning)
