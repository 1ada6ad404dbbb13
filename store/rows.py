"""Converts jobs to rows and back."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from store.records.archive import ArchivedFile
from store.records.costs import Cost, CostState, plain
from store.records.jobs import ErrorCode, Evidence, Job, JobError, Phase, Status, Tracking
from store.records.times import Due, Lane
from store.session import Row

_TRACKING = TypeAdapter(Tracking)
_ARCHIVE = TypeAdapter(tuple[ArchivedFile, ...])


def to_json(value: object) -> str:
    """Compact ASCII JSON."""
    return json.dumps(value, separators=(",", ":"))


def _tracking_to_json(tracking: Tracking) -> str:
    """Defaults are left out to keep the column short."""
    return _TRACKING.dump_json(tracking, exclude_defaults=True).decode()


def _archive_to_json(archive: tuple[ArchivedFile, ...]) -> str:
    return _ARCHIVE.dump_json(archive, exclude_none=True).decode()


class Column(NamedTuple):
    """A column of the view `stored_jobs`."""

    name: str
    read: Callable[[Any], object] | None = None
    """Makes the field's value from the column's, where they differ."""
    write: Callable[[Any], object] | None = None
    """Makes the column's value from the field's, where they differ."""
    part_of: str | None = None
    """The job's field that this value is part of, if the names differ; see `job_from_row`."""
    null: object = None
    """The field's value that is stored as NULL."""

    def value_of(self, field: object) -> object:
        """The column's value for a value of the field."""
        if field == self.null:
            return None
        return field if self.write is None else self.write(field)


_JSON = (json.loads, to_json)

_FIXED = (
    Column("id"),
    Column("user_id"),
    Column("user"),
    Column("provider"),
    Column("kind"),
    Column("created_at"),
    Column("metadata", *_JSON),
    Column("webhook_url"),
    Column("webhook_events", lambda text: tuple(text.split(",")) if text else (), ",".join),
    Column("webhook_off", bool),
)
"""The columns that no transition changes."""

MUTABLE = (
    Column("status", Status),
    Column("phase", Phase),
    Column("seq"),
    Column("updated_at"),
    Column("progress"),
    Column("provider_status"),
    Column("evidence", Evidence),
    Column("message"),
    Column("result", *_JSON),
    Column("error_code", write=attrgetter("code"), part_of="error"),
    Column("error_message", write=attrgetter("message"), part_of="error"),
    Column("error_billed", None, attrgetter("may_have_been_billed"), "error"),
    Column("provider_request_id"),
    Column("id_from_answer", bool),
    Column("done_at"),
    Column("accepted_at"),
    Column("unconfirmed_at"),
    Column("result_at"),
    Column("attempts"),
    Column("maybe_sent", bool),
    Column("refused_with"),
    Column("tracking", _TRACKING.validate_json, _tracking_to_json, null=Tracking()),
    Column("provider_urls", *_JSON),
    Column("cancel_wanted", bool),
    Column("archive", _ARCHIVE.validate_json, _archive_to_json, null=()),
)
"""The columns that a transition may change."""

_OF_OTHER_TABLES = (
    Column("lane", part_of="due"),
    Column("due_at", part_of="due"),
    Column("holder"),
)

_LABEL = Column("label")
_SOURCE = Column("source")
_DETAILS = Column("details", *_JSON)

_COST = tuple(
    Column(name, part_of="cost")
    for name in ("cost_state", "amount", "reserved", "rates", "currency")
)

VIEW_COLUMNS = (*_FIXED, *MUTABLE, *_OF_OTHER_TABLES, _LABEL, _SOURCE, _DETAILS, *_COST)
"""The columns of the view `stored_jobs`, in its order."""

_ALL = (*_FIXED, *MUTABLE, _LABEL, _SOURCE, _DETAILS)
TABLE_COLUMNS = tuple(column.name for column in _ALL if column.name != "user")
"""The columns of the table `jobs`."""

_CHANGING = [(column, column.part_of or column.name) for column in (*MUTABLE, _DETAILS)]
_WRITTEN = [(column, column.part_of or column.name) for column in _ALL]
_NAMES = tuple(column.name for column in VIEW_COLUMNS)
_READ = [(column.name, column.read, column.null) for column in VIEW_COLUMNS if column.read]


def job_from_row(row: Row) -> Job:
    """The job in a row of the view `stored_jobs`."""
    values = dict(zip(_NAMES, row, strict=True))
    for name, read, null in _READ:
        value = values[name]
        values[name] = null if value is None else read(value)
    code, message = values.pop("error_code"), values.pop("error_message")
    billed = bool(values.pop("error_billed"))
    values["error"] = None if code is None else JobError(ErrorCode(code), message, billed)
    lane, at = values.pop("lane"), values.pop("due_at")
    values["due"] = None if lane is None else Due(Lane(lane), at)
    del values["holder"]
    values["cost"] = _cost_of(*(values.pop(column.name) for column in _COST))
    return Job.of_fields(values)


def _cost_of(
    state: str | None, amount: Any, reserved: Any, rates: str, currency: str
) -> Cost | None:
    if state is None:
        return None
    prices = {name: Decimal(price) for name, price in json.loads(rates).items()}
    return Cost(Decimal(amount), currency, CostState(state), Decimal(reserved), prices)


def rates_to_json(rates: Mapping[str, Decimal]) -> str:
    """The rates of a cost as they are stored."""
    return to_json({name: plain(price) for name, price in rates.items()})


def job_to_row(job: Job) -> dict[str, object]:
    """The job's values by column, except those from other tables than `jobs` and `users`."""
    values = vars(job)
    return {column.name: column.value_of(values[field]) for column, field in _WRITTEN}


def changed_values(before: Job, after: Job) -> dict[str, object]:
    """The values of the columns whose field has changed, by column."""
    old, new = vars(before), vars(after)
    return {
        column.name: column.value_of(new[field])
        for column, field in _CHANGING
        if new[field] is not old[field] and new[field] != old[field]
    }


def holder_in(row: Row) -> str | None:
    """The holder of the lease in the job's due row."""
    holder: str | None = row[_NAMES.index("holder")]
    return holder
