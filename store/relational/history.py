"""What is kept of a job beside its row: what it was asked for, and what happened to it."""

import json
from collections.abc import Mapping

from store.errors import NotFound
from store.records import HistoryLine
from store.relational.backend import Backend
from store.relational.session import Row


async def input_of(backend: Backend, job_id: str) -> Mapping[str, object]:
    """See `Jobs.input_of`."""
    query = backend.statements.load("jobs")["read-input"]
    rows = await backend.readers.fetch(query, {"job_id": job_id})
    if not rows:
        raise NotFound(job_id)
    found: Mapping[str, object] = json.loads(rows[0][0])
    return found


async def history_of(backend: Backend, job_id: str) -> list[HistoryLine]:
    """See `Jobs.history_of`."""
    query = backend.statements.load("jobs")["read-history"]
    return [_line(row) for row in await backend.readers.fetch(query, {"job_id": job_id})]


def _line(row: Row) -> HistoryLine:
    at, source, data, *columns = row
    match source, columns:
        case "event", (cursor, *_):
            return HistoryLine(at, "event", {"id": cursor, "job": json.loads(data)})
        case "callback", (verdict, evidence, confirmed, size, _):
            detail = {
                "verdict": verdict,
                "evidence": evidence,
                "confirmed": None if confirmed is None else bool(confirmed),
                "bytes": size,
            }
            return HistoryLine(at, "callback", detail)
        case "relay", (delivery_id, error, seq, status_code, duration):
            detail = {
                "delivery": delivery_id,
                "seq": seq,
                "status_code": status_code,
                "error": error,
                "duration_ms": duration,
            }
            return HistoryLine(at, "relay", detail)
        case _:
            type_, note, *_ = columns
            return HistoryLine(at, type_, json.loads(note))
