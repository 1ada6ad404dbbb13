"""`submit` and `jobs`: commands for users, over HTTP."""

import asyncio
import json as json_text
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from receiver.cli.common import Cursor, Json, Limit, User, coroutine, service
from receiver.cli.errors import FAILED, warn
from receiver.cli.output import Table, emit, local_times, money
from receiver.client import Job
from store.records.jobs import Status

JobId = Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The job's id.")]

COMPLETED_IS_ENDED: Final = (
    "The provider says so of every job that has ended, also of one that failed."
)

jobs = typer.Typer(help="List, show and cancel jobs.", no_args_is_help=True)


@coroutine
async def submit(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(
            metavar="FILE",
            help="The body of POST /v1/jobs, as JSON. With - it is read from standard input.",
        ),
    ],
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            help="Submitting again with the same key creates no second job, and prints the first"
            " answer again, without waiting.",
            metavar="TEXT",
        ),
    ] = None,
    wait: Annotated[
        int | None,
        typer.Option(
            help="Wait up to N seconds, at most 60, for the job to finish: exits with 0 if it is"
            " COMPLETED, else 1.",
            metavar="N",
            min=1,
            max=60,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Submit a job, and print its id once the service has stored it.

    \b
    Examples:
      receiver submit job.json --idempotency-key order-4711
      receiver submit - --wait 60 < job.json
    """
    try:
        body = json_text.load(file)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"the file is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise typer.BadParameter("the file is not a JSON object")
    async with service() as client:
        try:
            job = await client.submit(body, idempotency_key=idempotency_key, wait=wait)
        except asyncio.CancelledError:
            warn("The job may exist: see `receiver jobs list`.")
            raise
    emit(json, job, job["request_id"] if wait is None else _members(job))
    if wait is not None and job["status"] != "COMPLETED":
        raise typer.Exit(FAILED)


@jobs.command(name="list")
@coroutine
async def list_(
    status: Annotated[
        Status | None, typer.Option(help="Only this status.", case_sensitive=False)
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind, such as create_movie.", metavar="KIND")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Only this provider.", metavar="PROVIDER")
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="Only jobs whose label contains this.", metavar="TEXT")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(help="Only jobs created since this local date or time.", metavar="WHEN"),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(help="Only with this metadata; can be repeated.", metavar="NAME=VALUE"),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    user: User = None,
    json: Json = False,
) -> None:
    """List jobs, newest first.

    \b
    Examples:
      receiver jobs list --status failed --since 2026-01-31
      receiver jobs list --metadata order=4711
    """
    async with service() as client:
        page = await client.list(
            status=status,
            kind=kind,
            provider=provider,
            q=search,
            created_after=since,
            metadata=_pairs(metadata or []),
            user=user,
            limit=limit,
            cursor=cursor,
        )
    rows = (
        local_times(job) | {"error": job["error"] and job["error"]["code"]} for job in page["jobs"]
    )
    columns = "user " * (user is not None)
    columns += "request_id status phase progress kind created_at error label"
    emit(json, page, Table(columns, rows, "No jobs.", page["next_cursor"]))


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"--metadata must be NAME=VALUE, not {text!r}")
        pairs[name] = value
    return pairs


@jobs.command()
@coroutine
async def show(
    request_id: JobId,
    history: Annotated[
        bool, typer.Option("--history", help="Also show what happened to it.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a job."""
    async with service() as client:
        job = await client.get(request_id)
        lines = await client.history(request_id) if history else []
    if not history:
        return emit(json, job, _members(job))
    rows = (local_times(line, "milliseconds") | {"detail": _detail(line)} for line in lines)
    table = Table("at type detail", rows, "No history.")
    return emit(json, {**job, "history": lines}, _members(job), "", table)


@jobs.command()
@coroutine
async def cancel(request_id: JobId, json: Json = False) -> None:
    """Cancel a job. A job that was not sent yet is never sent."""
    async with service() as client:
        job = await client.cancel(request_id)
    emit(json, job, f"{job['request_id']} {job['status']}")


def _members(job: Job) -> dict[str, object]:
    """A job's members as lines, with those of its error, cost, result and archive."""
    values = local_times(job)
    for name in ("links", "done", "error", "result", "archive"):
        del values[name]
    if job["error"] is not None:
        values["error"] = f"{job['error']['code']}: {job['error']['message']}"
        if job["error"]["code"] == "provider_failed" and job["provider_status"] == "COMPLETED":
            values["provider_status"] = f"COMPLETED ({COMPLETED_IS_ENDED})"
        values["may_have_been_billed"] = job["error"]["may_have_been_billed"]
    if (cost := job["cost"]) is not None:
        amount = money(cost["amount"], cost["currency"])
        values["cost"] = f"{amount} {cost['currency']} ({cost['state']})"
    for name, value in (job["result"] or {}).items():
        values[f"result.{name}"] = value
    for number, file in enumerate(job["archive"], start=1):
        values[f"archive.{number}"] = (
            f"{file['state']} {file['error'] or file['content_type'] or ''}"
        )
    return {name: value for name, value in values.items() if value != {}}


def _detail(line: Mapping[str, Any]) -> str:
    members = dict(line)
    # An event contains the whole job; its status is enough for one line.
    if job := members.pop("job", None):
        shown = {name: job[name] for name in ("seq", "status", "phase", "progress")}
        members = shown | members
    if waited := members.get("waited"):
        members["waited"] = f"{waited['seconds']:g}s ({waited['reason']})"
    for name in ("at", "type", "id", "body"):  # --json has the cursor and the long body
        members.pop(name, None)
    return " ".join(f"{name}={value}" for name, value in members.items() if value is not None)
