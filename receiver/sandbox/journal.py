"""Persists the jobs of an embedded sandbox, so that they survive a restart of the service.

A file of JSON lines: the sandbox's seed and port, again once it listens, and one line per job.
Everything else about a job follows from the seed, its ordinal, the time and the settings, except
its cancellation, which is not recorded: after a restart, a cancelled job goes on.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from store.records.times import Millis

_KEPT_FOR: Millis = 7 * 24 * 3600 * 1000
"""As long as Samsar's links live."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    ordinal: int
    kind: str
    input: Mapping[str, Any]
    webhook_url: str | None
    created_at: Millis


@dataclass(slots=True)
class Journal:
    """The jobs of an earlier process, and the file for new ones, if there is one."""

    seed: int = field(default_factory=lambda: secrets.randbits(64))
    port: int = 0
    """The port that it last listened on; 0 if none."""
    jobs: list[JobRecord] = field(default_factory=list)
    file: IO[str] | None = None

    def add(self, job: JobRecord) -> None:
        """Record a job. In a file it survives a kill of the process, but not always a power cut."""
        self._write([job.ordinal, job.kind, job.input, job.webhook_url, job.created_at])

    def record_port(self, port: int) -> None:
        """Record the port, which is part of result links."""
        self._write({"seed": self.seed, "port": port})

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    def _write(self, line: object) -> None:
        if self.file is not None:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()


def open_journal(path: Path, seed: int | None, now: Millis) -> Journal:
    """Open the journal in a file, which is written anew; `seed` overrides the file's.

    Jobs that are older than a week are dropped, with their results.
    """
    journal = Journal()
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        match _parsed(line):
            case {"seed": int(written), "port": int(port)}:
                journal.seed, journal.port = written, port
            case [int(ordinal), str(kind), dict(given), (str() | None) as url, int(created_at)]:
                if now - created_at < _KEPT_FOR:
                    journal.jobs.append(JobRecord(ordinal, kind, given, url, created_at))
            case _:
                continue  # a partial last line, from a process that was killed while writing
    if seed is not None:
        journal.seed = seed
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    journal.file = fresh.open("w", encoding="utf-8")
    fresh.chmod(0o600)
    journal.record_port(journal.port)
    for job in journal.jobs:
        journal.add(job)
    fresh.replace(path)
    return journal


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
