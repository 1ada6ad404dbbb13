"""The history of a job."""

import json

from store.records import HistoryLine
from store.session import Row


def history_line(row: Row) -> HistoryLine:
    """The line of a row of `read-history`."""
    at, source, data, *columns = row
    match source, columns:
        case "event", (cursor, *_):
            return HistoryLine(at, "event", {"id": cursor, "job": json.loads(data)})
        case "callback", (verdict, evidence, confirmed, size, verified):
            detail = {
                "verdict": verdict,
                "evidence": evidence,
                "confirmed": None if confirmed is None else bool(confirmed),
                "verified": bool(verified),
                "bytes": size,
                "body": bytes(data or b"").decode("utf-8", "replace"),
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
