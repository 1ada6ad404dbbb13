"""Finds and lists jobs."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any, NamedTuple

from store import repository
from store.ids import first_id
from store.records.jobs import Job, Phase, Status
from store.records.times import Millis
from store.repository import Repository
from store.rows import job_from_row, to_json

INDEXED = ("status", "provider", "kind")
"""Columns by which a user's jobs are indexed; the first that is given selects the candidates."""

_TO_LOWER_LABEL = {ord(letter): letter.lower() for letter in ascii_uppercase} | {0: "\ufffd"}
"""Makes a text comparable with `lower(label)`: ASCII letters in lower case, and U+FFFD for NUL, as
labels have it."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects jobs for lists; None and empty mean "all"."""

    status: Status | None = None
    kind: str | None = None
    provider: str | None = None
    created_after: Millis | None = None
    """Exclusive."""
    created_before: Millis | None = None
    """Exclusive."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    """A text that the label contains; ASCII letters match in either case."""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that happened to a job; `detail` is ready for JSON."""

    at: Millis
    type: str
    detail: Mapping[str, Any]


class Backlog(NamedTuple):
    """The unfinished jobs in one phase at one provider."""

    phase: Phase
    provider: str
    jobs: int
    oldest: Millis
    """When the oldest of them was created."""


class JobReads(Repository):
    """The part of `Jobs` that reads."""

    subject = "jobs"

    async def find(self, job_id: str) -> Job | None:
        """Any user's job; a route checks whether its caller may see it."""
        return await self._find("read-job", job_from_row, job_id=job_id)

    async def find_by_provider_id(self, provider: str, provider_request_id: str) -> Job | None:
        """Any user's job, by the id that its provider gave it."""
        ids = {"provider": provider, "provider_request_id": provider_request_id}
        return await self._find("read-job-by-provider-id", job_from_row, **ids)

    async def list_page(
        self, user_id: int | None, where: JobFilter, before: str | None, limit: int
    ) -> tuple[list[Job], str | None]:
        """Jobs of a user, or of all users, with an id lower than `before`, newest first (by id).
        Also returns the `before` of the next page, None on the last page.

        A page may be short although more follow: it ends at 1 MiB, and a bounded number of jobs is
        examined, unless an index covers the filter.
        """
        # The time to examine a row grows with the number of metadata members to compare.
        examined = repository.MAX_EXAMINED // max(1, len(where.metadata))
        parameters = _parameters(where, before or repository.LAST_ID) | {"user_id": user_id}
        rows, last = await self._fetch_page(
            "list-page",
            candidates(user_id, where),
            limit=limit,
            examined=None if _is_covered(user_id, where) else examined,
            **parameters,
        )
        return [job_from_row(row) for row in rows], last

    async def before_previous_page(
        self, user_id: int, where: JobFilter, before: str, limit: int
    ) -> str | None:
        """The `before` of the page that leads to that of `before`, in a list filtered by provider
        and times alone; None if it is the first page."""
        parameters = _parameters(where, before)
        rows = await self._fetch(
            "list-newer",
            user_id=user_id,
            provider=where.provider,
            first=before,
            created_after=parameters["created_after"],
            created_before=parameters["created_before"],
            limit=limit + 1,
        )
        return rows[limit][0] if len(rows) > limit else None

    async def input_of(self, job_id: str) -> str | None:
        """The job's `input`, as sent to the provider: ASCII JSON of up to a megabyte. None if there
        is no such job, or its input was not kept (`Transition.drops_large_input`)."""
        text: str | None = await self._fetch_value("read-input", job_id=job_id)
        return text

    async def input_to_send(self, job_id: str) -> str | None:
        """The job's `input` while its submission is under way, even if another process holds its
        lease for ended; None once the job has ended, by a cancel say."""
        text: str | None = await self._fetch_value("read-input-to-send", job_id=job_id)
        return text

    async def result_of(self, job_id: str) -> str | None:
        """The job's whole result (the job's own may be truncated, see `Transition.whole_result`):
        ASCII JSON of up to several megabytes. None if there is none."""
        text: str | None = await self._fetch_value("read-whole-result", job_id=job_id)
        return text

    async def stored_bytes_of(self, job_id: str) -> int:
        """How many bytes of input and result are stored for a job; 0 if there is none."""
        return int(await self._fetch_value("read-stored-bytes", job_id=job_id) or 0)

    async def history_of(self, job_id: str) -> list[HistoryLine]:
        """The job's events, callbacks (with the first 3,072 bytes of the body), notes and relay
        attempts, oldest first."""
        rows = await self._fetch("read-history", job_id=job_id)
        # They can be many, and long.
        return await asyncio.to_thread(lambda: [_history_line(*row) for row in rows])

    async def in_phase(self, phase: Phase, limit: int) -> list[str]:
        """Ids of jobs in a phase, the oldest of each provider first, for the recovery at the start;
        only `submitting` and `queued`."""
        rows = await self._fetch("list-in-phase", phase=phase.value, limit=limit)
        return [job_id for (job_id,) in rows]

    async def overdue(self, provider: str, created_before: Millis, limit: int) -> list[str]:
        """Ids of the oldest jobs that are queued for a provider and were created at this time or
        before."""
        given = {"provider": provider, "created_before": created_before, "limit": limit}
        return [job_id for (job_id,) in await self._fetch("list-overdue", **given)]

    async def newest(self) -> Millis | None:
        """When the newest stored job was created."""
        return await self._fetch_value("read-newest")

    async def backlog(self) -> list[Backlog]:
        """The unfinished jobs by phase and provider."""
        return [Backlog(Phase(phase), *rest) for phase, *rest in await self._fetch("backlog")]


def candidates(user_id: int | None, where: JobFilter) -> dict[str, str]:
    """The parts of `list-page` that select the candidates, by an index: that of the first metadata
    member, else of the first given column in `INDEXED`."""
    if user_id is None:
        return {"candidates": "jobs WHERE TRUE", "condition": "TRUE", "key": "id"}
    if where.metadata:
        chosen = "m.user_id = :user_id AND m.name = :name AND m.value = :value"
        # In SQLite, the CROSS JOIN keeps the order of the tables, and so that of the ids.
        joined = f"job_metadata m CROSS JOIN jobs WHERE id = m.job_id AND {chosen}"
        return {"candidates": joined, "condition": "TRUE", "key": "m.job_id"}
    given = [name for name in INDEXED if getattr(where, name) is not None]
    indexed = f"{given[0]} = :{given[0]}" if given else "TRUE"
    return {"candidates": "jobs WHERE user_id = :user_id", "condition": indexed, "key": "id"}


def _is_covered(user_id: int | None, where: JobFilter) -> bool:
    """Whether all candidates match the filter."""
    given = [name for name in INDEXED if getattr(where, name) is not None]
    most = 0 if user_id is None else 1
    return where.label is None and len(given) + len(where.metadata) <= most


def _parameters(where: JobFilter, before: str) -> dict[str, object]:
    """The parameters of the filter, for jobs with an id lower than `before`. An id's time is its
    job's `created_at`, or later if the clock had been ahead."""
    after = -1 if where.created_after is None else where.created_after
    name, value = next(iter(where.metadata.items()), (None, None))
    return {
        "first": first_id("job", max(after + 1, 0)),
        "before": before,
        "created_after": after,
        "created_before": sys.maxsize if where.created_before is None else where.created_before,
        "status": where.status,
        "kind": where.kind,
        "provider": where.provider,
        "label": where.label and where.label.translate(_TO_LOWER_LABEL),
        "metadata": to_json(where.metadata),
        "name": name,
        "value": value,
    }


def _history_line(at: Millis, type_: str, text: str, data: bytes | None) -> HistoryLine:
    """The line for a row of `read-history`."""
    detail = json.loads(text)
    if type_ == "event":
        detail["job"] = json.loads(data or b"")
    elif type_ == "callback":
        flags = ("confirmed", "verified")  # SQLite has integers
        detail |= {name: bool(detail[name]) for name in flags if detail[name] is not None}
        # SQLite's substr() makes NULL of an empty body.
        detail["body"] = (data or b"").decode("utf-8", "replace")
    return HistoryLine(at, type_, detail)
