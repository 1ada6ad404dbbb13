"""`copy`: from SQLite to PostgreSQL."""

from typing import Annotated

import typer

from receiver.cli import output
from receiver.cli.exits import Failure
from receiver.cli.opened import configured
from receiver.settings import StoreSettings


def add_to(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command()(copy)


def copy(
    to: Annotated[
        str, typer.Argument(help="The address of an empty PostgreSQL database.", metavar="URL")
    ],
) -> None:
    """Copy everything from the SQLite database into a PostgreSQL one; no service may run on it."""
    settings = configured(StoreSettings)
    if settings.sqlite_path is None:
        raise Failure("RECEIVER_DATABASE_URL has to name the SQLite database to copy from.")
    try:
        from store.copying import copy_to_postgres
    except ImportError as error:
        raise Failure("PostgreSQL needs psycopg: pip install 'receiver[postgres]'.") from error

    try:
        copied = copy_to_postgres(settings.sqlite_path, to)
    except ValueError as error:
        raise Failure(f"This is no address of a PostgreSQL database: {error}.") from error
    output.table(("table", "rows"), ((table, str(rows)) for table, rows in copied.items()))
    output.say("Now set RECEIVER_DATABASE_URL to that address, and start the service.")
    if settings.secret_file is not None and settings.secret_file.exists():
        output.say(
            f"Set RECEIVER_SECRET_KEYS to what {settings.secret_file} holds, too: addresses that"
            " the provider calls back are signed with it."
        )
