"""`receiver` as a process of its own, forked from a process that has already imported its modules.

It starts in a tenth of the time that `python -m receiver` takes, and behaves the same from then on.
So it is for tests that are not about the start itself.
"""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from receiver.cli.main import main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["__main__", "receiver.app", "receiver.cli.main"])


class ForkedProcess:
    """One run of a command, with the part of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        folder: Path,
        out: Path,
        err: Path,
        first: Callable[[], None] | None = None,
    ) -> None:
        """Start `receiver` with these arguments in `folder`, and append its output to the files.
        The process calls `first` before the command."""
        given = (arguments, dict(environment), folder, out, err, first)
        self._process = _FORKS.Process(target=_run, args=given, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, the negative number of a signal, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the process if it still runs."""
        self.kill()
        self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it exits. Raises TimeoutError if that takes too long."""
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError
        return self.returncode


@dataclass(frozen=True)
class CommandResult:
    """What a command returned and printed."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed, as JSON; fails if the command failed."""
        assert self.status == 0, self.err
        return json.loads(self.out)


def run(
    *arguments: str, environment: Mapping[str, str], folder: Path, timeout: float
) -> CommandResult:
    """Run a command until it exits."""
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        with ForkedProcess(
            *arguments, environment=environment, folder=folder, out=out, err=err
        ) as process:
            status = process.wait(timeout)
        return CommandResult(status, out.read_text("utf-8"), err.read_text("utf-8"))


def _run(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    folder: Path,
    out: Path,
    err: Path,
    first: Callable[[], None] | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as `python -m` does
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), number)
    # The inherited object keeps the properties of the fork server's stdout.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.argv = ["receiver", *arguments]
    if first is not None:
        first()
    main()
