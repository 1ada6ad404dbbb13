"""`doctor`, `backup` and `copy`: commands for operators."""

from pathlib import Path
from typing import Annotated

import typer

from receiver.cli.command import Json, load_and_warn, require_database
from receiver.cli.errors import FAILED, USAGE, Failure, sentence
from receiver.cli.output import Output, Table, say
from receiver.clock import SystemClock
from receiver.environment import SettingsError, load
from receiver.settings import ArchiveSettings, ServeSettings, StoreSettings
from store.errors import ServerUnfit, StoreUnavailable
from store.open import back_up_store


async def doctor(json: Json = False) -> None:
    """Check settings, store, provider, public address and clock. Exits with 1 if a check failed."""
    # Imported here: it imports all providers, which other commands do not need.
    from receiver.cli.doctor import Finding, check_all, output_of

    try:
        settings = load(ServeSettings)
    except SettingsError as error:
        warnings = [Finding("settings", "warning", warning) for warning in error.warnings]
        faults = [Finding("settings", "failed", fault) for fault in error.faults]
        output_of([*warnings, *faults]).print(json=json)
        raise
    findings = await check_all(settings, SystemClock())
    output_of(findings).print(json=json)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(FAILED)


class _BackupSettings(StoreSettings, ArchiveSettings):
    """The settings of `backup`."""


async def backup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where to write the copy; existing files are not overwritten."
        ),
    ],
) -> Output:
    """Copy the database, consistently, while the service runs."""
    settings = load_and_warn(_BackupSettings)
    require_database(settings)
    if not file.absolute().parent.is_dir():
        raise Failure(f"There is no folder {file.absolute().parent}. Create it first.")
    try:
        await back_up_store(settings.database_url, file)
    except FileExistsError:
        raise Failure(f"{file} already exists; nothing was written.") from None
    lines = [f"{file} is a verified copy. It contains signing secrets: keep it safe."]
    if settings.secret_file is not None and settings.secret_file.exists():
        lines.append(f"Also back up {settings.secret_file}: callback URLs are signed with it.")
    if settings.archive_url is not None:
        lines.append(f"It does not include result files; those are in {settings.archive_url}.")
    return Output({"file": str(file.absolute())}, *lines)


def copy(
    to: Annotated[
        str, typer.Argument(help="The URL of an empty PostgreSQL database.", metavar="URL")
    ],
) -> None:
    """Copy all data from SQLite to PostgreSQL. Stop the service first."""
    settings = load_and_warn(StoreSettings)
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
    if not to.startswith("postgresql://"):  # as RECEIVER_DATABASE_URL must
        raise Failure("The URL must begin with postgresql://.", status=USAGE)
    try:
        copied = copy_to_postgres(settings.sqlite_path, to)
    except ValueError as error:
        raise Failure(f"Not the URL of a PostgreSQL database: {error}.", status=USAGE) from error
    except (ServerUnfit, StoreUnavailable) as error:
        raise Failure(f"{sentence(error)} Check both databases, and the given URL.") from error
    rows = [{"table": table, "rows": count} for table, count in copied.items()]
    Table("table rows", rows, empty="Nothing to copy.").print()
    say("Now set RECEIVER_DATABASE_URL to that URL, and start the service.")
    if settings.secret_file is not None and settings.secret_file.exists():
        say(
            f"Also set RECEIVER_SECRET_KEYS to the lines of {settings.secret_file}, joined by"
            " commas: callback URLs are signed with them."
        )
