"""Converts jobs to rows and back."""

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from store.records.archive import ArchivedFile
from store.records.jobs import ErrorCode, Evidence, Job, JobError, Phase, Status, Tracking
from store.records.times import Due, Lane
from store.session import Row

_UNTRACKED = Tracking()
_TRACKING = TypeAdapter(Tracking)
_ARCHIVE = TypeAdapter(tuple[ArchivedFile, ...])


def to_json(value: object) -> str:
    """Compact ASCII JSON."""
    return json.dumps(value, separators=(",", ":"))


def _words_from_text(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _tracking_to_json(tracking: Tracking) -> str | None:
    """Defaults are left out to keep the column short."""
    if tracking == _UNTRACKED:
        return None
    return _TRACKING.dump_json(tracking, exclude_defaults=True).decode()


def _tracking_from_json(text: str | None) -> Tracking:
    return _UNTRACKED if text is None else _TRACKING.validate_json(text)


def _archive_to_json(archive: tuple[ArchivedFile, ...]) -> str | None:
    return _ARCHIVE.dump_json(archive, exclude_none=True).decode() if archive else None


def _archive_from_json(text: str | None) -> tuple[ArchivedFile, ...]:
    return () if text is None else _ARCHIVE.validate_json(text)


def _if_any(convert: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: None if value is None else convert(value)


class Column(NamedTuple):
    """A column of the view `archived_job_rows`."""

    name: str
    field: str
    """The job's field, of which this is all or a part."""
    type: str
    """For casts where the database cannot infer it; SQLite accepts these names too."""
    read: Callable[[Any], object] | None
    """Makes the field's value from the column's, where they differ."""
    write: Callable[[Any], object] | None
    """Makes the column's value from the field's, unless that is None."""

    def value_of(self, field: object) -> object:
        """The column's value for a value of the field."""
        return field if field is None or self.write is None else self.write(field)


def _column(
    name: str,
    type_: str = "text",
    read: Callable[[Any], object] | None = None,
    write: Callable[[Any], object] | None = None,
) -> Column:
    return Column(name, name, type_, read, write)


def _flag(name: str) -> Column:
    return _column(name, "boolean", bool)


def _number(name: str) -> Column:
    return _column(name, "bigint")


def _json(name: str) -> Column:
    return _column(name, "text", _if_any(json.loads), to_json)


def _part(name: str, field: str, attribute: str, type_: str = "text") -> Column:
    """A column with one attribute of a field; `job_from_row` puts them together."""
    return Column(name, field, type_, None, attrgetter(attribute))


_FIXED = (
    _column("id"),
    _number("user_id"),
    _column("user"),
    _column("provider"),
    _column("kind"),
    _number("created_at"),
    _json("metadata"),
    _column("webhook_url"),
    _column("webhook_events", "text", _words_from_text, ",".join),
    _flag("webhook_off"),
)
"""The columns that no move changes."""

MUTABLE = (
    _column("status", "text", Status),
    _column("phase", "text", Phase),
    _number("seq"),
    _number("updated_at"),
    _column("progress", "double precision"),
    _column("provider_status"),
    _column("evidence", "text", _if_any(Evidence)),
    _column("message"),
    _json("result"),
    _part("error_code", "error", "code"),
    _part("error_message", "error", "message"),
    _part("error_billed", "error", "may_have_been_billed", "boolean"),
    _column("provider_request_id"),
    _flag("id_from_answer"),
    _number("done_at"),
    _number("accepted_at"),
    _number("unconfirmed_at"),
    _number("result_at"),
    _number("attempts"),
    _flag("maybe_sent"),
    _number("refused_with"),
    _column("tracking", "text", _tracking_from_json, _tracking_to_json),
    _json("provider_urls"),
    _flag("cancel_wanted"),
    _column("archive", "text", _archive_from_json, _archive_to_json),
)
"""The columns that a move may change."""

_OF_OTHER_TABLES = (
    _part("lane", "due", "lane"),
    _part("due_at", "due", "at", "bigint"),
    _column("holder"),
    _flag("callbacks_waiting"),
)

_LABEL = _column("label")

COLUMNS = (*_FIXED, *MUTABLE, *_OF_OTHER_TABLES, _LABEL)
"""The columns of the view `archived_job_rows`, in its order."""

_NAMES = tuple(column.name for column in COLUMNS)
_READ = {column.name: column.read for column in COLUMNS if column.read}


def job_from_row(row: Row) -> Job:
    """The job in a row of the view `archived_job_rows`."""
    values = dict(zip(_NAMES, row, strict=True))
    for name, read in _READ.items():
        values[name] = read(values[name])
    code, message = values.pop("error_code"), values.pop("error_message")
    billed = bool(values.pop("error_billed"))
    values["error"] = None if code is None else JobError(ErrorCode(code), message, billed)
    lane, at = values.pop("lane"), values.pop("due_at")
    values["due"] = None if lane is None else Due(Lane(lane), at)
    del values["holder"]
    return Job.of_fields(values)


def row_of(job: Job) -> dict[str, object]:
    """The job's values by column, except those from other tables than `jobs` and `users`."""
    values = vars(job)
    return {
        column.name: column.value_of(values[column.field]) for column in (*_FIXED, *MUTABLE, _LABEL)
    }


def changed_values(before: Job, after: Job) -> dict[str, object]:
    """The values of the columns whose field has changed, by column."""
    old, new = vars(before), vars(after)
    return {
        column.name: column.value_of(new[column.field])
        for column in MUTABLE
        if new[column.field] is not old[column.field] and new[column.field] != old[column.field]
    }


def holder_in(row: Row) -> str | None:
    """The holder of the lease in the job's due row."""
    holder: str | None = row[_NAMES.index("holder")]
    return holder
