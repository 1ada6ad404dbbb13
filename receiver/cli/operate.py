"""`doctor` and `backup`: the operator's side."""

from pathlib import Path
from typing import Annotated

import typer

from receiver.cli import output
from receiver.cli.checkup import Finding, check_all
from receiver.cli.exits import FAILED, Failure
from receiver.cli.loop import run
from receiver.cli.opened import Json, configured, the_store
from receiver.clock import SystemClock
from receiver.settings import ServeSettings, SettingsError, StoreSettings, load


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(doctor)
    app.command()(backup)


def doctor(json: Json = False) -> None:
    """Check settings, store, provider, public address and clock; ends with 1 if one failed."""
    try:
        settings = load(ServeSettings)
    except SettingsError as error:
        remarks = [Finding("settings", "remark", warning) for warning in error.warnings]
        faults = [Finding("settings", "failed", fault) for fault in error.faults]
        _tell([*remarks, *faults], json=json)
        raise

    async def work() -> list[Finding]:
        return [finding async for finding in check_all(settings, SystemClock())]

    findings = run(work())
    _tell(findings, json=json)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(FAILED)


def _tell(findings: list[Finding], *, json: bool) -> None:
    if json:
        output.as_json(
            {
                "ok": all(finding.state != "failed" for finding in findings),
                "checks": [finding.document() for finding in findings],
            }
        )
        return
    output.table(
        ("", "check", "found", "what to do"),
        (
            (finding.state, finding.check, finding.detail, finding.advice or "")
            for finding in findings
        ),
    )


def backup(
    file: Annotated[
        Path, typer.Argument(help="Where the copy goes; nothing that is there is overwritten.")
    ],
) -> None:
    """Write a consistent copy of the database, beside a running service."""
    settings = configured(StoreSettings)
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        raise Failure(
            f"There is no database at {settings.sqlite_path}. RECEIVER_DATABASE_URL says where."
        )

    if not file.absolute().parent.is_dir():
        raise Failure(f"There is no folder {file.absolute().parent} for the copy. Make it first.")

    async def work() -> None:
        async with the_store(settings) as store:
            try:
                await store.backup(file)
            except FileExistsError:
                raise Failure(f"{file} is there already, and was left alone.") from None

    run(work())
    output.say(f"{file} holds a verified copy, signing secrets of webhooks included: keep it safe.")
    if settings.secret_file is not None and settings.secret_file.exists():
        output.say(
            f"Callback addresses are signed with {settings.secret_file}: keep a copy of that, too."
        )
