"""The entry point: all commands, and one place that reports errors."""

import os
import signal
import sys
import threading
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from receiver.cli.command import Commands
from receiver.cli.deliveries import deliveries
from receiver.cli.demo import demo
from receiver.cli.errors import USAGE, Failure, report
from receiver.cli.jobs import jobs, submit, watch
from receiver.cli.keys import keys
from receiver.cli.listen import listen
from receiver.cli.operate import backup, copy, doctor
from receiver.cli.serve import sandbox, serve

app = Commands(
    name="receiver",
    help="Submits slow, costly jobs to an asynchronous generation API and never loses one.",
    no_args_is_help=True,
    # No boxes and colours when piped.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for each in (serve, sandbox, demo, submit, watch, listen, doctor, backup, copy):
    app.command()(each)
for name, group in (("keys", keys), ("jobs", jobs), ("deliveries", deliveries)):
    app.add_typer(group, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"receiver {version('job-receiver')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def _open_closed_streams() -> None:
    """Open /dev/null for each closed standard stream, in their order: each gets its own descriptor.
    Otherwise a connection would get it, and libuv aborts the process when it closes that one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It stays open until the process ends.
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - see above
            setattr(sys, name, stream)


def main() -> None:
    """Run one command and exit with its status."""
    _open_closed_streams()
    if threading.current_thread() is threading.main_thread():
        # Unlike the default action, this unwinds the stack. Coroutines are cancelled instead.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if isinstance(sys.stdout, TextIOWrapper):
        # Like stderr: a character that the encoding lacks must not fail the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if any(argument != argument.encode(errors="replace").decode() for argument in sys.argv):
            raise Failure("An argument is not valid UTF-8.", status=USAGE)
        app(prog_name="receiver")
    except Exception as error:  # noqa: BLE001 - top level: nothing else would report it
        sys.exit(report(error))
