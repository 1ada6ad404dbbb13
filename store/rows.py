"""Converts jobs to rows and back."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from store.records.archive import ArchivedFile, FileState
from store.records.jobs import Claim, ErrorCode, Evidence, Job, JobError, Phase, Status, Tracking
from store.records.times import Due, Lane
from store.session import Row

_UNTRACKED = Tracking()
_TRACKED = [field.name for field in fields(Tracking) if field.name != "claims"]
_claim_values = attrgetter(*(field.name for field in fields(Claim)))


def to_json(value: object) -> str:
    """Compact ASCII JSON."""
    return json.dumps(value, separators=(",", ":"))


def _words_from_text(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _tracking_to_json(tracking: Tracking) -> str | None:
    """Defaults are left out to keep the column short."""
    if tracking == _UNTRACKED:
        return None
    kept = {
        name: value
        for name in _TRACKED
        if (value := getattr(tracking, name)) != getattr(_UNTRACKED, name)
    }
    if tracking.claims:
        kept["claims"] = [list(_claim_values(claim)) for claim in tracking.claims]
    return to_json(kept)


def _tracking_from_json(text: str | None) -> Tracking:
    if text is None:
        return _UNTRACKED
    kept: Mapping[str, Any] = json.loads(text)
    return Tracking(**{**kept, "claims": tuple(map(_claim_from_list, kept.get("claims", ())))})


def _claim_from_list(values: Sequence[Any]) -> Claim:
    callback_id, received_at, status, word, result, message = values
    return Claim(callback_id, received_at, Status(status), word, result, message)


def _archive_to_json(archive: tuple[ArchivedFile, ...]) -> str | None:
    """Defaults are left out."""
    if not archive:
        return None
    return to_json(
        [
            {name: value for name, value in asdict(file).items() if value is not None}
            for file in archive
        ]
    )


def _archive_from_json(text: str | None) -> tuple[ArchivedFile, ...]:
    if text is None:
        return ()
    return tuple(
        ArchivedFile(**{**kept, "state": FileState(kept["state"])}) for kept in json.loads(text)
    )


def _if_any(convert: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: None if value is None else convert(value)


class Column(NamedTuple):
    """A column of the view `archived_job_rows`."""

    name: str
    type: str = "text"
    """For casts where the database cannot infer it; SQLite accepts these names too."""
    read: Callable[[Any], object] | None = None
    """Makes the job's value from the column's, where they differ."""
    write: Callable[[Any], object] | None = None
    """Makes the column's value from the job's, unless that is None."""
    field: str = ""
    """The job's field, where its name differs."""


def _flag(name: str) -> Column:
    return Column(name, "boolean", bool)


def _number(name: str) -> Column:
    return Column(name, "bigint")


def _json(name: str) -> Column:
    return Column(name, "text", _if_any(json.loads), to_json)


COLUMNS: tuple[Column, ...] = (
    # These never change.
    Column("id"),
    _number("user_id"),
    Column("user"),
    Column("provider"),
    Column("kind"),
    _number("created_at"),
    _json("metadata"),
    Column("webhook_url"),
    Column("webhook_events", "text", _words_from_text, ",".join),
    _flag("webhook_off"),
    # A move may change these.
    Column("status", "text", Status),
    Column("phase", "text", Phase),
    _number("seq"),
    _number("updated_at"),
    Column("progress", "double precision"),
    Column("provider_status"),
    Column("evidence", "text", _if_any(Evidence)),
    Column("message"),
    _json("result"),
    Column("error_code", "text", None, attrgetter("code"), "error"),
    Column("error_message", "text", None, attrgetter("message"), "error"),
    Column("error_billed", "boolean", None, attrgetter("may_have_been_billed"), "error"),
    Column("provider_request_id"),
    _flag("id_from_answer"),
    _number("done_at"),
    _number("accepted_at"),
    _number("unconfirmed_at"),
    _number("result_at"),
    _number("attempts"),
    _flag("maybe_sent"),
    _number("refused_with"),
    Column("tracking", "text", _tracking_from_json, _tracking_to_json),
    _json("provider_urls"),
    _flag("cancel_wanted"),
    Column("archive", "text", _archive_from_json, _archive_to_json),
    # From the tables `due` and `callbacks`.
    Column("lane", "text", None, attrgetter("lane"), "due"),
    Column("due_at", "bigint", None, attrgetter("at"), "due"),
    Column("holder"),
    _flag("callbacks_waiting"),
    # It never changes.
    Column("label"),
)
"""The columns of the view `archived_job_rows`, in its order."""

_NAMES = [column.name for column in COLUMNS]
_place = _NAMES.index
_ERROR, _DUE, _HOLDER = _place("error_code"), _place("lane"), _place("holder")

_MUTABLE = slice(_place("status"), _DUE)
MUTABLE = COLUMNS[_MUTABLE]
"""The columns that a move may change."""

_FIELDS = [column.field or column.name for column in COLUMNS]
_job_values = itemgetter(*(_FIELDS.index(field.name) for field in fields(Job)))
_READS = [(place, column.read) for place, column in enumerate(COLUMNS) if column.read]

_WRITTEN = (*COLUMNS[:_DUE], COLUMNS[-1])
_written_fields = attrgetter(*_FIELDS[:_DUE], _FIELDS[-1])
_mutable_fields = attrgetter(*_FIELDS[_MUTABLE])


def job_from_row(row: Row) -> Job:
    """The job in a row of the view `archived_job_rows`."""
    values = list(row)
    for place, read in _READS:
        values[place] = read(values[place])
    if row[_ERROR] is not None:
        code, message, billed = row[_ERROR : _ERROR + 3]
        values[_ERROR] = JobError(ErrorCode(code), message, bool(billed))
    if row[_DUE] is not None:
        values[_DUE] = Due(Lane(row[_DUE]), row[_DUE + 1])
    return Job(*_job_values(values))


def row_of(job: Job) -> dict[str, object]:
    """The job's values by column, except those from other tables than `jobs` and `users`."""
    return {
        column.name: value if value is None or column.write is None else column.write(value)
        for column, value in zip(_WRITTEN, _written_fields(job), strict=True)
    }


def changed_values(before: Job, after: Job) -> dict[str, object]:
    """The values of the columns whose field has changed, by column."""
    return {
        column.name: new if new is None or column.write is None else column.write(new)
        for column, old, new in zip(
            MUTABLE, _mutable_fields(before), _mutable_fields(after), strict=True
        )
        if new is not old and new != old
    }


def holder_in(row: Row) -> str | None:
    """The holder of the lease in the job's due row."""
    holder: str | None = row[_HOLDER]
    return holder
