"""The entry point: all commands, and one place that reports errors."""

import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from receiver.cli.backup import backup, copy
from receiver.cli.deliveries import deliveries
from receiver.cli.demo import demo
from receiver.cli.doctor import doctor
from receiver.cli.errors import report
from receiver.cli.jobs import jobs, submit
from receiver.cli.keys import keys
from receiver.cli.listen import listen
from receiver.cli.money import budgets, spend
from receiver.cli.serve import sandbox, serve
from receiver.cli.watch import watch

app = typer.Typer(
    name="receiver",
    help="Submits slow, costly jobs to an asynchronous generation API and never loses one.",
    no_args_is_help=True,
    # No boxes and colours when piped.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for each in (serve, sandbox, demo, submit, watch, listen, spend, doctor, backup, copy):
    app.command()(each)
GROUPS = {"keys": keys, "jobs": jobs, "deliveries": deliveries, "budgets": budgets}
for name, group in GROUPS.items():
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


def main() -> None:
    """Run one command and exit with its status."""
    if isinstance(sys.stdout, TextIOWrapper):
        # Like stderr: a character that the encoding lacks must not fail the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="receiver")
    except Exception as error:  # noqa: BLE001 - top level: nothing else would report it
        sys.exit(report(error))
