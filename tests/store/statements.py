"""The store's statements as they are run: completed, and for many rows."""

from collections.abc import Mapping

from store.rows import MUTABLE
from store.sql import SHARED, MultiRowStatement, Statements, positional

MANY = (
    "callbacks.receive",
    "jobs.change-jobs",
    "jobs.clear-due",
    "jobs.look-inputs-up",
    "jobs.look-jobs-up",
    "jobs.note",
    "jobs.read-bodies",
    "jobs.read-taken-provider-ids",
    "jobs.read-waiting",
    "jobs.set-verdict",
    "jobs.set-due",
)
"""Statements that are run for many rows at once."""


def subjects(statements: Statements) -> list[str]:
    """The subjects of a backend's statements."""
    return sorted({file.stem for at in (SHARED, statements.own) for file in at.glob("*.sql")})


def sql_of(statements: Statements, subject: str, name: str) -> str:
    """The statement; if it writes the changed columns, then with all of them."""
    sql = statements.load(subject)[name]
    if name == "change-job":
        changes = ", ".join(f"{column.name} = :{column.name}" for column in MUTABLE)
        return sql.format(changes=statements.translate(changes))
    if name == "change-jobs":
        changes = ", ".join(
            f"{column.name} = fresh.column{number}" for number, column in enumerate(MUTABLE, 2)
        )
        values = ", ".join(f"CAST(:{column.name} AS {column.type})" for column in MUTABLE)
        return sql.format(changes=changes, values=statements.translate(values))
    if name == "look-through":
        return sql.format(whose=statements.translate("user_id = :user_id"))
    return sql


def for_many(
    statements: Statements, query: str, values: Mapping[str, object], rows: int = 64
) -> tuple[str, list[object]]:
    """The statement for some rows of the same values, and its positional parameters; those without
    a value are NULL."""
    sql = sql_of(statements, *query.split("."))
    _, names = positional(sql)
    bound = {name: values.get(name) for name in names}
    ((sql_for_many, parameters),) = MultiRowStatement(sql).bound([bound] * rows, **bound)
    return sql_for_many, parameters
