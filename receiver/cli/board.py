"""Jobs as they go on: a bar for each on a terminal, a line for each change elsewhere."""

import sys
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from receiver.cli import output
from receiver.client import Job


class Board(Protocol):
    """Where jobs are shown; leave the block to give the terminal back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, job: Job) -> None:
        """A job as it now stands."""
        ...

    def say(self, text: str) -> None:
        """One line beside the jobs."""
        ...


def board() -> Board:
    """The one that fits where the output goes."""
    return Bars() if output.is_terminal() else Lines()


def outcome(job: Job) -> str:
    """How a finished job ended, and how that became known, in one line."""
    known = {
        "callback": "known by callback",
        "poll": "known by poll: no callback told of it",
        "submit": "known by the submission's answer",
        "deadline": "declared at its deadline",
        "user": "by its user",
    }
    words = [job.request_id, job.status, known.get(job.evidence or "", "")]
    if job.error is not None:
        words.append(f"({job.error.code}: {job.error.message})")
    return output.on_one_line(" ".join(word for word in words if word))


class Lines:
    """A line for each change that can be seen."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def show(self, job: Job) -> None:
        if job.done:
            line = outcome(job)
        else:
            line = f"{job.request_id} {job.status} {job.phase} {_percent(job)}"
        if self._shown.get(job.request_id) != line:
            self._shown[job.request_id] = line
            output.say(line)

    def say(self, text: str) -> None:
        # On stderr, since it is no change of a job: whoever reads the lines reads jobs.
        print(text, file=sys.stderr, flush=True)


class Bars:
    """A bar for each unfinished job; what is finished becomes a line above them."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%", markup=False),
            TextColumn("{task.fields[phase]}", markup=False),
            TimeElapsedColumn(),
            console=Console(highlight=False),
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        task = self._tasks.get(job.request_id)
        if job.done:
            if task is not None:
                self._progress.remove_task(task)
                del self._tasks[job.request_id]
            self._print(Text(outcome(job), style=output.STYLES.get(job.status, "")))
        elif task is None:
            self._tasks[job.request_id] = self._progress.add_task(
                job.request_id, total=100, completed=round(job.progress or 0), phase=job.phase
            )
        else:
            self._progress.update(task, completed=round(job.progress or 0), phase=job.phase)

    def say(self, text: str) -> None:
        self._print(Text(text))

    def _print(self, text: Text) -> None:
        self._progress.console.print(text, soft_wrap=True)


def _percent(job: Job) -> str:
    return "-" if job.progress is None else f"{job.progress:g}%"
