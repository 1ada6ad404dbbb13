"""The command's entry: every group under one name, every error in words."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from receiver.cli import deliveries, demo, exits, jobs, keys, moving, operate, serve

app = typer.Typer(
    name="receiver",
    help="Submits slow, costly jobs to an asynchronous generation API and never loses one.",
    no_args_is_help=True,
    add_completion=False,
    # Boxes and colours in a pipe are of no use to anybody.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
serve.add_to(app)
demo.add_to(app)
keys.add_to(app)
jobs.add_to(app)
deliveries.add_to(app)
operate.add_to(app)
moving.add_to(app)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"receiver {version('receiver')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run one command and end the process with its status."""
    try:
        app(prog_name="receiver")
    except Exception as error:  # noqa: BLE001 - the last one who can put it into words
        sys.exit(exits.report(error))
