"""Finds and lists relay messages."""

import json
from dataclasses import dataclass, fields

from store import repository
from store.records.deliveries import Attempt, Delivery, DeliveryState
from store.records.jobs import Status
from store.repository import Queue
from store.session import Row

FILTERS = {
    "user_id": "user_id = :user_id",
    "state": "state = :state",
    "job_id": "job_id = :job_id",
    "name": "rtrim(host, '0123456789') = :name",
    "host": "host = :host",
    "failing": "EXISTS (SELECT 1 FROM attempts WHERE attempts.delivery_id = candidate.id)",
}
"""SQL conditions. `name` matches a host with any port: the index `deliveries_by_host` has the host
without the digits of its port, `hooks.example:` for `hooks.example:443`."""

_FIELDS = [field.name for field in fields(Delivery)]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Selects deliveries for a list; None means "all"."""

    user_id: int | None = None
    state: DeliveryState | None = None
    job_id: str | None = None
    host: str | None = None
    """`name:port`, or `name:` for all ports, in normal form (`normal_host`)."""
    failing: bool = False
    """Only pending ones with a failed attempt; then `state` must be pending."""


class Deliveries(Queue):
    """What became of messages."""

    subject = "deliveries"

    async def find(self, delivery_id: str) -> Delivery | None:
        return await self._find("read-delivery", delivery_from_row, delivery_id=delivery_id)

    async def list_page(
        self, where: DeliveryFilter, before: str | None, limit: int
    ) -> tuple[list[Delivery], str | None]:
        """Deliveries with an id lower than `before`, newest first (by id), with their attempts.
        Also returns the `before` of the next page, None on the last page.

        A page may be short although more follow: it ends at 1 MiB, and a bounded number of
        deliveries is examined, unless an index covers the filter.
        """
        parts = page_parts(where)
        rows, last = await self._fetch_page(
            "list-page",
            parts,
            limit=limit,
            examined=None if parts["fits"] == "TRUE" else repository.MAX_EXAMINED,
            before=before or repository.LAST_ID,
            **_given(where),
        )
        return [delivery_from_row(row) for row in rows], last


def _given(where: DeliveryFilter) -> dict[str, object]:
    """The parameters of the filters."""
    name = where.host and where.host.rstrip("0123456789")
    parameters = {
        "user_id": where.user_id,
        "state": where.state,
        "job_id": where.job_id,
        "name": name,
        "host": None if where.host == name else where.host,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def page_parts(where: DeliveryFilter) -> dict[str, str]:
    """The SQL conditions of a list: `candidates` uses the most selective index, `fits` has the
    others."""
    given = _given(where)
    unfinished = where.state not in (None, DeliveryState.DELIVERED, DeliveryState.SKIPPED)
    if "job_id" in given:
        first = ["job_id"]
    elif "user_id" in given:
        first = ["user_id", "name" if "name" in given and not unfinished else "state"]
    else:
        first = ["state"] if unfinished else []
    chosen = [FILTERS[name] for name in first if name in given]
    if unfinished and first == ["state"]:
        chosen.append("state NOT IN ('delivered', 'skipped')")  # the partial index's predicate
    others = [FILTERS[name] for name in given if name not in first]
    if where.failing:
        others.append(FILTERS["failing"])
    return {
        "candidates": " AND ".join(chosen or ["TRUE"]),
        "fits": " AND ".join(others or ["TRUE"]),
    }


def delivery_from_row(row: Row) -> Delivery:
    """The delivery in a row of `delivery_rows`, with the user's name."""
    values = dict(zip(_FIELDS, row, strict=True))
    values["status"] = Status(values["status"])
    values["state"] = DeliveryState(values["state"])
    values["attempts"] = tuple(Attempt(*each) for each in json.loads(values["attempts"]))
    return Delivery(**values)
