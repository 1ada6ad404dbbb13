"""`serve` and `sandbox`: what runs until it is told to stop."""

import os
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import structlog
import typer

from receiver import logs, tracing
from receiver.cli.exits import naming_the_port
from receiver.cli.loop import run
from receiver.clock import SystemClock
from receiver.providers.samsar_input import InputRules
from receiver.settings import LogSettings, SandboxSettings, ServeSettings, load

if TYPE_CHECKING:
    from receiver.app import Service

SANDBOX_PORT = 8001

Host = Annotated[str | None, typer.Option(help="The address to listen on (RECEIVER_HOST).")]
Port = Annotated[int | None, typer.Option(help="The port to listen on (RECEIVER_PORT).")]

log = structlog.get_logger()


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(serve)
    app.command()(sandbox)


def serve(host: Host = None, port: Port = None) -> None:
    """Run the service, until SIGTERM or Ctrl-C."""
    given = {"host": host, "port": port}
    settings = load(
        ServeSettings, **{name: value for name, value in given.items() if value is not None}
    )
    logs.configure(settings.log_format, settings.log_level)
    hide_secrets(settings)
    for warning in settings.warnings():
        log.warning(warning)

    # Imported here: it takes longer than everything that the other commands need together.
    from receiver import app

    def on_start(_service: "Service", address: str) -> None:
        log.info("serving", url=address, provider=settings.provider)

    with tracing.exporting(os.environ), naming_the_port(settings.host, settings.port):
        run(app.serve(settings, on_start))
    log.info("stopped")


def hide_secrets(settings: ServeSettings) -> None:
    """Keep the settings' secrets out of every log line. Raises SecretFileError."""
    from receiver.app import signing_keys

    logs.redact_values(signing_keys(settings))
    if settings.samsar_api_key is not None:
        logs.redact_values([settings.samsar_api_key.get_secret_value()])
    if password := urlsplit(settings.database_url).password:
        logs.redact_values([password])


class _Sandbox(SandboxSettings, LogSettings):
    """What the provider alone uses."""


def sandbox(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65_535)
    ] = SANDBOX_PORT,
) -> None:
    """Run the sandbox provider alone, under /v1/video/, until SIGTERM or Ctrl-C."""
    settings = load(_Sandbox)
    logs.configure(settings.log_format, settings.log_level)
    for warning in settings.warnings():
        log.warning(warning)

    from receiver.app import sandbox_rules
    from receiver.sandbox.app import API_PATH
    from receiver.sandbox.run import run_sandbox

    key = settings.samsar_api_key
    if key is not None:
        logs.redact_values([key.get_secret_value()])
    with naming_the_port(host, port):
        run(
            run_sandbox(
                sandbox_rules(settings),
                SystemClock(),
                InputRules(frozenset(settings.image_models), frozenset(settings.video_models)),
                api_key=None if key is None else key.get_secret_value(),
                host=host,
                port=port,
                on_start=lambda origin: log.info("serving the sandbox", url=origin + API_PATH),
            )
        )
