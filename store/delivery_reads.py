"""Finds and lists relay messages."""

import json
from dataclasses import dataclass, fields

from store.records.deliveries import Attempt, Delivery, DeliveryState
from store.records.jobs import Status
from store.records.times import Millis
from store.session import Row
from store.table import Table

_LAST_ID = "~"
"""Sorts after every id."""

FILTERS = {
    "user_id": "d.user_id = :user_id",
    "state": "d.state = :state",
    "job_id": "d.job_id = :job_id",
    "name": "rtrim(d.host, '0123456789') = :name",
    "host": "d.host = :host",
}

_FIELDS = [field.name for field in fields(Delivery)]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Selects deliveries for a list; None means "all"."""

    user_id: int | None = None
    state: DeliveryState | None = None
    job_id: str | None = None
    host: str | None = None
    """Host name, in lower case."""
    port: int | None = None
    """Ignored without `host`."""


class DeliveryReads(Table):
    """The part of `Deliveries` that reads."""

    subject = "deliveries"

    async def next_due(self) -> Millis | None:
        """When the next message can be leased, ignoring slots. A message behind one of its job in
        flight does not count. The end of a lease does."""
        return await self._fetch_value("next-due")

    async def find(self, delivery_id: str) -> Delivery | None:
        return await self._find("read-delivery", delivery_from_row, delivery_id=delivery_id)

    async def list_page(
        self, select: DeliveryFilter, before: str | None, limit: int
    ) -> list[Delivery]:
        """Newest first (by id), with their attempts."""
        parameters = _given(select) | {"before": before or _LAST_ID, "limit": limit}
        rows = await self._fetch("list-page", {"filters": filters(select)}, **parameters)
        return [delivery_from_row(row) for row in rows]

    async def backlog(self) -> tuple[int, Millis | None]:
        """The number of pending messages, and when the oldest was written."""
        ((count, oldest),) = await self._fetch("backlog")
        return count, oldest


def _given(select: DeliveryFilter) -> dict[str, object]:
    """The parameters of the filters."""
    name = None if select.host is None else f"{select.host}:"
    parameters = {
        "user_id": select.user_id,
        "state": select.state,
        "job_id": select.job_id,
        "name": name,
        "host": None if name is None or select.port is None else f"{name}{select.port}",
    }
    return {name: value for name, value in parameters.items() if value is not None}


def filters(select: DeliveryFilter) -> str:
    """The conditions of a list; the first use the index that leaves the fewest rows to read.

    SQLite, which has no statistics, might use another one, but uses none for a part of an OR.
    """
    given = _given(select)
    unfinished = select.state not in (None, DeliveryState.DELIVERED, DeliveryState.SKIPPED)
    if "job_id" in given:
        first = ["job_id"]
    elif "name" in given and not unfinished:
        first = ["name"]
    else:
        first = [name for name in ("user_id", "state") if name in given]
    conditions = [FILTERS[name] for name in first]
    if unfinished and first == ["state"]:
        conditions.append("d.state NOT IN ('delivered', 'skipped')")  # as the index says
    conditions += [f"(FALSE OR {FILTERS[name]})" for name in given if name not in first]
    return " AND ".join(conditions or ["TRUE"])


def delivery_from_row(row: Row) -> Delivery:
    """The delivery in a row of a query that reads some."""
    values = dict(zip(_FIELDS, row, strict=True))
    values["status"] = Status(values["status"])
    values["state"] = DeliveryState(values["state"])
    values["attempts"] = tuple(Attempt(*each) for each in json.loads(values["attempts"]))
    return Delivery(**values)
