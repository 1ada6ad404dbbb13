"""The store's statements as they run: completed."""

from collections.abc import Iterator, Mapping

from store.deliveries import DeliveryFilter, page_parts
from store.job_reads import JobFilter, candidates
from store.ledger import SPEND_KEYS, spend_parts
from store.records.deliveries import DeliveryState
from store.records.jobs import Status
from store.repository import user_condition
from store.rows import MUTABLE, TABLE_COLUMNS
from store.sql import SHARED, Statements

_DELIVERIES = {
    "by user": DeliveryFilter(1),
    "by state": DeliveryFilter(1, DeliveryState.EXHAUSTED),
    "by job": DeliveryFilter(1, DeliveryState.PENDING, "job_1", "hooks.example:"),
    "by host": DeliveryFilter(1, DeliveryState.DELIVERED, host="hooks.example:"),
    "unfinished": DeliveryFilter(state=DeliveryState.EXHAUSTED, host="hooks.example:"),
    "all": DeliveryFilter(state=DeliveryState.DELIVERED),
    "failing": DeliveryFilter(1, DeliveryState.PENDING, failing=True),
}
PARTS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "deliveries.list-page": {
        version: page_parts(select) for version, select in _DELIVERIES.items()
    },
    "events.events-after": {
        "of job": {"whose": "job_id = :job_id"},
        "of user": {"whose": "user_id = :user_id"},
    },
    "jobs.change-job": {
        "": {"changes": ", ".join(f"{column.name} = :{column.name}" for column in MUTABLE)}
    },
    "jobs.create-job": {
        "": {
            "columns": ", ".join(TABLE_COLUMNS),
            "values": ", ".join(f":{name}" for name in TABLE_COLUMNS),
        }
    },
    "jobs.list-page": {
        "of all": candidates(None, JobFilter()),
        "by user": candidates(1, JobFilter()),
        "by metadata": candidates(1, JobFilter(metadata={"a": "b"})),
        "by status": candidates(1, JobFilter(status=Status.PENDING)),
        "by kind": candidates(1, JobFilter(kind="create_movie")),
        "by provider": candidates(1, JobFilter(provider="fal")),
    },
    "ledger.first-and-last": {"": user_condition(1), "of all": user_condition(None)},
    "ledger.spend": {
        f"{by}{of}": spend_parts(by, None, user)
        for by in SPEND_KEYS
        for of, user in (("", 1), (" of all", None))
    }
    | {"day by user of all": spend_parts("day", "user", None)},
    "ledger.list-budgets": {"": user_condition(1), "of all": user_condition(None)},
    **{
        query: {"": user_condition(1), "of all": user_condition(None)}
        for query in ("statistics.count-attempts", "statistics.count-jobs", "statistics.time-jobs")
    },
}
"""The parts that complete a statement. The keys name its versions."""


def subjects(statements: Statements) -> list[str]:
    """The subjects of a backend's statements."""
    return sorted({file.stem for at in (SHARED, statements.own) for file in at.glob("*.sql")})


def all_sql(statements: Statements) -> dict[str, str]:
    """A backend's statements by subject and name. A statement that is completed at run time appears
    in each of its versions; one that writes the changed columns, with all columns."""
    return dict(_all_sql(statements))


def _all_sql(statements: Statements) -> Iterator[tuple[str, str]]:
    for subject in subjects(statements):
        for name, sql in statements.load(subject).items():
            query = f"{subject}.{name}"
            for version, parts in PARTS.get(query, {"": {}}).items():
                yield (
                    f"{query} {version}".strip(),
                    statements.complete(sql, **parts) if parts else sql,
                )
