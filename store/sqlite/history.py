"""What is kept of a job beside its row: what it was asked for, and what happened to it."""

import json
from collections.abc import Mapping

from store.errors import NotFound
from store.records import HistoryLine
from store.sqlite import sql
from store.sqlite.readers import Readers, Row

_SQL = sql.load("jobs")


async def input_of(readers: Readers, job_id: str) -> Mapping[str, object]:
    """See `Jobs.input_of`."""
    rows = await readers.fetch(_SQL["read-input"], {"job_id": job_id})
    if not rows:
        raise NotFound(job_id)
    found: Mapping[str, object] = json.loads(rows[0][0])
    return found


async def history_of(readers: Readers, job_id: str) -> list[HistoryLine]:
    """See `Jobs.history_of`."""
    return [_line(row) for row in await readers.fetch(_SQL["read-history"], {"job_id": job_id})]


def _line(row: Row) -> HistoryLine:
    at, source, *columns = row
    match source, columns:
        case "event", (cursor, data, *_):
            return HistoryLine(at, "event", {"id": cursor, "job": json.loads(data)})
        case "callback", (verdict, evidence, confirmed, size, *_):
            detail = {
                "verdict": verdict,
                "evidence": evidence,
                "confirmed": None if confirmed is None else bool(confirmed),
                "bytes": size,
            }
            return HistoryLine(at, "callback", detail)
        case "relay", (delivery_id, seq, status_code, error, duration):
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
