"""`submit`, `jobs` and `watch`: commands for users, over HTTP."""

import asyncio
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from receiver.cli.command import Commands, Cursor, Json, Limit, User
from receiver.cli.errors import FAILED, warn, warn_of_pause
from receiver.cli.output import Output, Table, local_times
from receiver.cli.progress import board
from receiver.client import AsyncClient, Job
from store.records.jobs import Status

JobId = Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The job's id.")]

jobs = Commands(help="List, show and cancel jobs.", no_args_is_help=True)


class JSON(dict[str, Any]):
    """A JSON object; typer shows the name in the help text."""


def _body(file: str) -> JSON:
    """Parse a file, or standard input for `-`. This runs outside the event loop, where Ctrl-C ends
    a read."""
    try:
        # Bytes: JSON is UTF-8, whatever the locale says.
        body = json.loads(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"the file is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise typer.BadParameter("the file is not a JSON object")
    return JSON(body)


async def submit(
    client: AsyncClient,
    file: Annotated[
        JSON,
        typer.Argument(
            metavar="FILE",
            help="A file with the body of POST /v1/jobs, as JSON; - reads standard input.",
            parser=_body,
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
            help="Wait up to N seconds, at most 60, for the job to finish.",
            metavar="N",
            min=1,
            max=60,
        ),
    ] = None,
) -> Output:
    """Submit a job, and print its id once the service has stored it.

    \b
    Examples:
      receiver submit job.json --idempotency-key order-4711
      receiver submit - --wait 60 < job.json
    """
    try:
        job = await client.submit(file, idempotency_key=idempotency_key, wait=wait)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except asyncio.CancelledError:
        warn("The job may exist: see `receiver jobs list`.")
        raise
    return Output(job, job["request_id"] if wait is None else _fields(job))


_AGO = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _moment(text: str) -> datetime:
    """Parse a time or an age such as `15m`. A time without a zone is local."""
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"must be an age (90s, 15m, 2h, 3d) or a time such as 2026-01-02T03:04, not {text!r}"
        ) from None


@jobs.command(name="list")
async def list_(
    client: AsyncClient,
    status: Annotated[Status | None, typer.Option(help="Only this status.")] = None,
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
        typer.Option(
            help="Only jobs created since then: an age (90s, 15m, 2h, 3d) or a time.",
            metavar="WHEN",
            parser=_moment,
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(help="Only with this metadata; can be repeated.", metavar="NAME=VALUE"),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    user: User = None,
) -> Output:
    """List jobs, newest first.

    \b
    Examples:
      receiver jobs list --status FAILED --since 24h
      receiver jobs list --metadata order=4711
    """
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
    table = Table(
        "request_id status phase progress kind created_at user error label",
        (_row(job, with_user=user is not None) for job in page["jobs"]),
        empty="No jobs on this page." if page["next_cursor"] else "No jobs.",
        texts=("label",),
        next_cursor=page["next_cursor"],
    )
    return Output(page, table)


def _row(job: Job, *, with_user: bool) -> dict[str, object]:
    error = job["error"] and job["error"]["code"]
    return local_times(job) | {"user": job["user"] if with_user else None, "error": error}


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"--metadata must be NAME=VALUE, not {text!r}")
        if name in pairs:
            raise typer.BadParameter("--metadata can have each name only once")
        pairs[name] = value
    return pairs


@jobs.command()
async def show(
    client: AsyncClient,
    request_id: JobId,
    history: Annotated[bool, typer.Option(help="Also show what happened to it.")] = False,
) -> Output:
    """Show a job."""
    job = await client.get(request_id)
    if not history:
        return Output(job, _fields(job))
    lines = await client.history(request_id)
    table = Table(
        "at type detail",
        (local_times(line, "milliseconds") | {"detail": _detail(line)} for line in lines),
        empty="No history.",
        texts=("detail",),
    )
    return Output({**job, "history": lines}, _fields(job), "", table)


@jobs.command()
async def cancel(client: AsyncClient, request_id: JobId) -> Output:
    """Cancel a job. A job that was not sent yet is never sent."""
    job = await client.cancel(request_id)
    return Output(job, f"{job['request_id']} {job['status']}")


def _fields(job: Job) -> dict[str, object]:
    values = local_times(job)
    for name in ("links", "done", "error", "result", "archive"):
        del values[name]
    if job["error"] is not None:
        values["error"] = f"{job['error']['code']}: {job['error']['message']}"
        values["may_have_been_billed"] = job["error"]["may_have_been_billed"]
    for name, value in (job["result"] or {}).items():
        values[f"result.{name}"] = value
    for number, file in enumerate(job["archive"], start=1):
        words = file["error"] or file["content_type"] or ""
        values[f"archive.{number}"] = f"{file['state']} {words}"
    return {name: value for name, value in values.items() if value != {}}


def _detail(line: Mapping[str, Any]) -> str:
    members = dict(line)
    # An event contains the whole job; its status is enough for one line.
    if job := members.pop("job", None):
        members |= {name: job[name] for name in ("seq", "status", "phase", "progress")}
    for name in ("at", "type", "id", "body"):  # --json has the cursor and the long body
        members.pop(name, None)
    return " ".join(f"{name}={value}" for name, value in members.items() if value is not None)


async def watch(
    client: AsyncClient,
    request_id: Annotated[
        str | None,
        typer.Argument(metavar="REQUEST_ID", help="One job; all jobs by default."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Another user's jobs. Needs an admin key.", metavar="NAME")
    ] = None,
    json: Json = False,
) -> None:
    """Watch jobs. With an id, exits when it is done: 0 if COMPLETED, else 1."""
    if request_id is not None and user is not None:
        raise typer.BadParameter("--user is for watching all jobs: leave out the id")
    job: Job | None = None
    watching = client.watch(request_id, user=user, on_pause=warn_of_pause)
    with board(json=json) as shown:
        async with aclosing(watching) as events:
            async for event in events:
                for job in event.jobs:
                    shown.show(job)
    if job is None or job["status"] != "COMPLETED":
        raise typer.Exit(FAILED)
