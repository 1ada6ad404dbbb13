"""`receiver` as a process of its own, forked from one that has imported its modules.

It starts in a tenth of the time that `python -m receiver` takes. The rest of its life and its death
are the same, so this is for tests that are not about the start itself.
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
    """One command, from its start to its end: the part of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        folder: Path,
        out: Path,
        err: Path,
        first: Callable[[], None] | None = None,
    ) -> None:
        """Begin `receiver` with these arguments; it runs in `folder` and adds its output to the
        files. The process calls `first` before the command."""
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
        """Nothing of it outlives the block."""
        self.kill()
        self.wait()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises TimeoutError where that does not come in time."""
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError
        return self.returncode


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed; fails where the command did."""
        assert self.status == 0, self.err
        return json.loads(self.out)


def run(*arguments: str, environment: Mapping[str, str], folder: Path, timeout: float) -> Done:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name, "out"), Path(name, "err")
        with ForkedProcess(
            *arguments, environment=environment, folder=folder, out=out, err=err
        ) as process:
            status = process.wait(timeout)
        return Done(status, out.read_text("utf-8"), err.read_text("utf-8"))


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
