"""`backup` and `copy`: the database elsewhere."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from receiver.cli.common import coroutine, load_and_warn, require_database
from receiver.cli.errors import USAGE, Failure, sentence
from receiver.cli.output import Table, emit, say
from receiver.config.settings import ArchiveSettings, StoreSettings
from store.errors import StoreUnavailable, UnsupportedServer
from store.open import back_up_store


class _BackupSettings(StoreSettings, ArchiveSettings):
    """The settings of `backup`."""


class _CopySettings(StoreSettings):
    """The settings of `copy`."""

    copy_to: str = Field(repr=False)
    """The URL of the empty PostgreSQL database to copy to."""


@coroutine
async def backup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where to write the copy; existing files are not overwritten."
        ),
    ],
) -> None:
    """Copy the database, consistently, while the service runs."""
    settings = load_and_warn(_BackupSettings)
    require_database(settings)
    if not file.absolute().parent.is_dir():
        raise Failure(f"There is no folder {file.absolute().parent}. Create it first.")
    try:
        await back_up_store(settings.database_url, file)
    except FileExistsError:
        raise Failure(f"{file} already exists; nothing was written.") from None
    say(f"{file} is a verified copy. It contains signing secrets: keep it safe.")
    if settings.secret_file is not None and settings.secret_file.exists():
        say(f"Also back up {settings.secret_file}: callback URLs are signed with it.")
    if settings.archive_url is not None:
        say(f"It does not include result files; those are in {settings.archive_url}.")


def copy(
    to: Annotated[
        str | None,
        typer.Argument(
            help="The URL of an empty PostgreSQL database. Other users of this machine can see"
            " arguments: if it has a password, set RECEIVER_COPY_TO instead.",
            metavar="URL",
        ),
    ] = None,
) -> None:
    """Copy all data from SQLite to PostgreSQL. Stop the service first."""
    settings = load_and_warn(_CopySettings, copy_to=to)
    if settings.sqlite_path is None:
        raise Failure(
            "RECEIVER_DATABASE_URL must be the SQLite database to copy from.", status=USAGE
        )
    try:
        from store.copying import copy_to_postgres
    except ImportError as error:
        raise Failure(
            "PostgreSQL needs psycopg: run pip install '.[postgres]' in the source folder."
        ) from error

    require_database(settings)
    target = settings.copy_to
    if not target.startswith("postgresql://"):  # as RECEIVER_DATABASE_URL must
        raise Failure("The URL must begin with postgresql://.", status=USAGE)
    try:
        copied = copy_to_postgres(settings.sqlite_path, target)
    except ValueError as error:
        raise Failure(f"Not the URL of a PostgreSQL database: {error}.", status=USAGE) from error
    except (UnsupportedServer, StoreUnavailable) as error:
        raise Failure(f"{sentence(error)} Check both databases, and the given URL.") from error
    rows = ({"table": table, "rows": count} for table, count in copied.items())
    emit(False, None, Table("table rows", rows, "Nothing to copy."))
    say("Now set RECEIVER_DATABASE_URL to that URL, and start the service.")
    if settings.secret_file is not None and settings.secret_file.exists():
        say(
            f"Also set RECEIVER_SECRET_KEYS to the lines of {settings.secret_file}, joined by"
            " commas: callback URLs are signed with them."
        )
