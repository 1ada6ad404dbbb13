"""`watch`: live progress of jobs, over HTTP; a bar for each on a terminal, lines elsewhere."""

import json as json_text
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from receiver.cli.common import Json, coroutine, service
from receiver.cli.errors import FAILED, warn
from receiver.cli.output import STYLES, on_one_line, say
from receiver.client import ClientError, Job

_SOURCES = {
    "callback": "by callback",
    "poll": "by poll (no callback arrived)",
    "submit": "in answer to its submission",
    "deadline": "at its deadline",
    "user": "by its user",
}


@coroutine
async def watch(
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
    job: Job | None = None
    async with service() as client:
        watching = client.watch(request_id, user=user, on_pause=warn_of_pause)
        with board(json=json) as show:
            async with aclosing(watching) as events:
                async for event in events:
                    for job in event.jobs:
                        show(job)
    if job is None or job["status"] != "COMPLETED":
        raise typer.Exit(FAILED)


def warn_of_pause(error: ClientError | None, seconds: float) -> None:
    """Say that a stream is interrupted; see `AsyncClient.watch`."""
    warn(f"{error or 'the stream has ended'}; resuming in {seconds:.0f} s")


@contextmanager
def board(*, json: bool = False) -> Iterator[Callable[[Job], None]]:
    """A function that shows a job's present state, in the way that fits the output."""
    console = Console(highlight=False)
    if json:
        yield lambda job: say(json_text.dumps(job))
    elif not sys.stdout.isatty() or console.is_dumb_terminal:
        yield _Lines().show
    else:
        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%", markup=False),
            TextColumn("{task.fields[phase]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            expand=True,
            redirect_stderr=sys.stderr.isatty(),
        ) as progress:
            yield _Bars(progress).show


class _Lines:
    """A line for each visible change."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def show(self, job: Job) -> None:
        line = _line(job)
        if self._shown.get(job["request_id"]) != line:
            self._shown[job["request_id"]] = line
            self.print(Text(line, STYLES.get(job["status"], "")))

    def print(self, line: Text) -> None:
        say(line.plain)


class _Bars(_Lines):
    """A bar for each unfinished job; finished ones become a line above."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, job: Job) -> None:
        task = self._tasks.pop(job["request_id"], None)
        if job["done"]:
            if task is not None:
                self._progress.remove_task(task)
            super().show(job)
            return
        if task is None:
            task = self._progress.add_task(job["request_id"], total=100, phase=job["phase"])
        self._progress.update(task, completed=round(job["progress"] or 0), phase=job["phase"])
        self._tasks[job["request_id"]] = task

    def print(self, line: Text) -> None:
        self._progress.console.print(line, soft_wrap=True)


def _line(job: Job) -> str:
    """One line about a job; if it is finished, with its outcome and how that became known."""
    words = [job["request_id"], job["status"]]
    if job["done"]:
        words.append(_SOURCES.get(job["evidence"] or "", ""))
    else:
        words += [job["phase"], "-" if job["progress"] is None else f"{job['progress']:g}%"]
    if job["error"] is not None:
        words.append(f"({job['error']['code']}: {job['error']['message']})")
    if job["label"]:
        words.append(f"· {job['label']}")
    return on_one_line(" ".join(word for word in words if word))
