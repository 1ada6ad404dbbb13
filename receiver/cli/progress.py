"""Live progress of jobs: a bar for each on a terminal, a line for each change elsewhere."""

import json as json_lib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from receiver.cli import output
from receiver.client import Job

_SOURCES = {
    "callback": "via callback",
    "poll": "via poll (no callback arrived)",
    "submit": "via the submission's answer",
    "deadline": "at its deadline",
    "user": "by its user",
}


class Lines:
    """Shows jobs as lines, one for each visible change."""

    def __init__(self, describe: Callable[[Job], str]) -> None:
        self._describe = describe
        self._shown: dict[str, int] = {}
        """The hash of each job's last line: a line may be long, and there may be many jobs."""

    def show(self, job: Job) -> None:
        line = self._describe(job)
        if self._shown.get(job["request_id"]) != hash(line):
            self._shown[job["request_id"]] = hash(line)
            self._print(line, job["status"])

    def _print(self, line: str, _status: str) -> None:
        output.say(line)


class Bars(Lines):
    """Shows a bar for each unfinished job; finished ones become a line above."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(_line)
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

    def _print(self, line: str, status: str) -> None:
        text = Text(line, style=output.STYLES.get(status, ""))
        self._progress.console.print(text, soft_wrap=True)


@contextmanager
def board(*, json: bool = False) -> Iterator[Lines]:
    """Shows jobs while the block runs, in the way that fits the output."""
    console = Console(highlight=False)
    if json:
        yield Lines(json_lib.dumps)
    elif not output.is_terminal() or console.is_dumb_terminal:
        yield Lines(_line)
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
            yield Bars(progress)


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
    return output.on_one_line(" ".join(word for word in words if word))
