"""`submit`, `jobs` and `watch`: the user's side, over HTTP."""

import json as json_lib
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from receiver.cli import output
from receiver.cli.board import board
from receiver.cli.exits import FAILED
from receiver.cli.loop import run
from receiver.cli.opened import ApiKey, Cursor, Json, Limit, Url, User, the_service
from receiver.client import ClientError, HistoryLine, Job

JobId = Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The job's id.")]

jobs = typer.Typer(help="List, show and cancel jobs.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command()(submit)
    app.add_typer(jobs, name="jobs")
    app.command()(watch)


def submit(
    file: Annotated[
        Path,
        typer.Argument(
            help="A file with the body of POST /v1/jobs, as JSON; - reads standard input."
        ),
    ],
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key makes the same job once.", metavar="TEXT")
    ] = None,
    wait: Annotated[
        int | None, typer.Option(help="Seconds to wait for its end.", min=1, max=60)
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Submit a job; print its id, once it is on the service's disk."""
    body = _read_body(file)

    async def work() -> None:
        async with the_service(url, api_key) as client:
            job = await client.submit_body(body, idempotency_key=idempotency_key, wait=wait)
        if json:
            output.as_json(job.model_dump(mode="json"))
        elif wait is not None:
            _show(job, [])
        else:
            output.say(job.request_id)

    run(work())


def _read_body(file: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        body = json_lib.loads(text)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{file} holds no JSON: {error}") from error
    if not isinstance(body, dict):
        raise typer.BadParameter(f"{file} holds no JSON object")
    return body


@jobs.command(name="list")
def list_(
    status: Annotated[
        str | None, typer.Option(help="PENDING, IN_PROGRESS, COMPLETED, FAILED or CANCELLED.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="create_movie or create_narrative.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE; can be given again.", metavar="TEXT")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    user: User = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List jobs, newest first."""
    wanted = dict(_pair(each) for each in metadata or [])

    async def work() -> None:
        async with the_service(url, api_key) as client:
            page = await client.list(
                status=status, kind=kind, metadata=wanted, user=user, limit=limit, cursor=cursor
            )
        if json:
            output.as_json(page.model_dump(mode="json"))
            return
        output.table(
            ("request_id", "status", "phase", "progress", "kind", "created"),
            (
                (
                    job.request_id,
                    job.status,
                    job.phase,
                    job.progress,
                    job.kind,
                    output.moment(job.created_at),
                )
                for job in page.jobs
            ),
        )
        output.more(page.next_cursor)

    run(work())


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"--metadata is NAME=VALUE, not {text!r}")
    return name, value


@jobs.command()
def show(
    request_id: JobId,
    history: Annotated[bool, typer.Option(help="What happened to it, too.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show a job as it stands."""

    async def work() -> None:
        async with the_service(url, api_key) as client:
            job = await client.get(request_id)
            lines = list(await client.history(request_id)) if history else []
        if json:
            document = job.model_dump(mode="json")
            if history:
                document["history"] = [line.model_dump(mode="json") for line in lines]
            output.as_json(document)
        else:
            _show(job, lines)

    run(work())


@jobs.command()
def cancel(request_id: JobId, url: Url = None, api_key: ApiKey = None, json: Json = False) -> None:
    """Cancel a job; one that was not sent yet is never sent."""

    async def work() -> None:
        async with the_service(url, api_key) as client:
            job = await client.cancel(request_id)
        if json:
            output.as_json(job.model_dump(mode="json"))
        else:
            output.say(f"{job.request_id} {job.status}")

    run(work())


def _show(job: Job, history: list[HistoryLine]) -> None:
    told = job.model_dump(mode="json", exclude={"links", "done", "error", "result"})
    if job.error is not None:
        told["error"] = f"{job.error.code}: {job.error.message}"
        told["may_have_been_billed"] = job.error.may_have_been_billed
    for name, value in (job.result or {}).items():
        told[f"result.{name}"] = value
    output.fields((name, value) for name, value in told.items() if value != {})
    if history:
        output.say()
        output.table(
            ("at", "type", "detail"),
            ((output.moment(line.at), line.type, _detail(line)) for line in history),
        )


def _detail(line: HistoryLine) -> str:
    told = dict(line.model_extra or {})
    # An event has the whole job in it: what it became is enough for one line.
    if isinstance(job := told.pop("job", None), dict):
        told |= {name: job.get(name) for name in ("seq", "status", "phase", "progress")}
    return " ".join(f"{name}={value}" for name, value in told.items() if value is not None)


def watch(
    request_id: Annotated[
        str | None,
        typer.Argument(metavar="[REQUEST_ID]", help="One job; without it, all of them."),
    ] = None,
    user: User = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Watch jobs as they go on. With an id: ends with 0 at COMPLETED, 1 at another final state."""

    async def work() -> Job | None:
        last: Job | None = None
        async with the_service(url, api_key) as client:
            with board() as shown:

                def pause(error: ClientError | None, seconds: float) -> None:
                    reason = "the stream has ended" if error is None else str(error)
                    shown.say(output.on_one_line(f"{reason}; resuming in {seconds:.0f} s"))

                async with aclosing(client.watch(request_id, user=user, on_pause=pause)) as events:
                    async for event in events:
                        for job in event.jobs:
                            shown.show(job)
                            last = job
        return last

    job = run(work())
    if job is None or job.status != "COMPLETED":
        raise typer.Exit(FAILED)
