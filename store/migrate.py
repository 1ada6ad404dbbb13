"""Schema migrations: numbered files, `0001_what_it_does.sql`, each applied once and in order.

A backend stores the number of the last migration in the transaction that applies it.
"""

from dataclasses import dataclass
from pathlib import Path

from store.errors import SchemaTooNew


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str


def load(folder: Path) -> list[Migration]:
    """The migrations of a folder, in order. Raises ValueError if the numbers have a gap."""
    found = []
    for file in sorted(folder.glob("*.sql")):
        number, _, name = file.stem.partition("_")
        found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    if [step.number for step in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations in {folder.name} are not numbered 1, 2, 3 …")
    return found


def pending(migrations: list[Migration], version: int) -> list[Migration]:
    """The migrations that a database at `version` still needs. Raises `SchemaTooNew`."""
    if version > len(migrations):
        raise SchemaTooNew(
            f"the database has schema {version}, but this release knows only {len(migrations)}: "
            "it was written by a newer release"
        )
    return migrations[version:]
