"""What an embedded sandbox remembers across restarts, so that it does not lose its jobs with us.

A file of JSON lines: first what the sandbox is (its seed and port), then a job each. All else about
a job follows from the seed, its number and the time.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from store.records import Millis

_KEPT_FOR: Millis = 8 * 24 * 3600 * 1000
"""A day longer than a result's link lives."""


@dataclass(frozen=True, slots=True)
class MadeJob:
    """One job, as it was made."""

    ordinal: int
    kind: str
    input: Mapping[str, Any]
    webhook_url: str | None
    made_at: Millis


class Memory:
    """The jobs that were made, and the file that they are appended to."""

    def __init__(self, seed: int, port: int, jobs: list[MadeJob], file: IO[str] | None) -> None:
        self.seed = seed
        self.port = port
        """Where it listened last; 0 where it never did."""
        self.jobs = jobs
        self._file = file

    def remember(self, job: MadeJob) -> None:
        """Append a job; a kill of the process does not take it back."""
        self.jobs.append(job)
        self._write(
            [job.ordinal, job.kind, job.input, job.webhook_url, job.made_at],
        )

    def listening(self, port: int) -> None:
        """Remember the port: result links name it."""
        if port != self.port:
            self.port = port
            self._write({"seed": self.seed, "port": port})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: object) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def forgetful() -> Memory:
    """A memory of this process alone."""
    return Memory(0, 0, [], None)


def open_memory(path: Path, seed: int | None, now: Millis) -> Memory:
    """The memory in a file, which is made where it is not there; `seed` outranks the file's.

    Jobs whose results nobody can open any more are forgotten here.
    """
    known_seed, port, jobs = None, 0, []
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        match _parsed(line):
            case {"seed": int(written), "port": int(port)}:
                known_seed = written
            case [int(ordinal), str(kind), dict(given), (str() | None) as url, int(made_at)]:
                jobs.append(MadeJob(ordinal, kind, given, url, made_at))
            case _:
                continue  # the last line of a process that was killed while it wrote
    if seed is None:
        seed = secrets.randbits(64) if known_seed is None else known_seed
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    memory = Memory(seed, -1, [], fresh.open("w", encoding="utf-8"))
    fresh.chmod(0o600)
    memory.listening(port)
    for job in jobs:
        if now - job.made_at < _KEPT_FOR:
            memory.remember(job)
    fresh.replace(path)
    return memory


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
