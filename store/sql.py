"""SQL files: named statements, and the schema."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from store.errors import SchemaTooNew, SchemaUnsupported

SHARED = Path(__file__).with_name("queries")
"""The SQL that both databases share."""

APPLICATION_ID = 0x72637672
"""Marks our databases, and our locks in them ("rcvr")."""

PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


class Statements:
    """The shared statements together with those of one backend. Each file is a subject, and each
    statement in it has a name and a comment, and `{names}` where the backends differ or where
    `complete` inserts a part:

        -- name: read-newest
        -- When the newest job was created.
        SELECT created_at FROM jobs WHERE id = (SELECT max(id) FROM jobs);
    """

    def __init__(self, own: Path, parameter: str = r":\1", **dialect: str) -> None:
        """`own` is the backend's folder of queries; `parameter` replaces `:name` in its SQL, as in
        `re.sub`, and `dialect` is its SQL for each `{name}`. Raises ValueError if a statement's
        name is defined twice, or has no comment or statement."""
        self.own = own
        self._parameter = parameter
        self._dialect = dialect
        self._by_subject: dict[str, dict[str, str]] = {}
        for file in (*SHARED.glob("*.sql"), *own.glob("*.sql")):
            self._read(file, self._by_subject.setdefault(file.stem, {}))

    def load(self, subject: str) -> Mapping[str, str]:
        """The statements about one subject, by name."""
        return self._by_subject[subject]

    def translate(self, sql: str) -> str:
        """The statement in the backend's parameter style."""
        return PARAMETER.sub(self._parameter, sql)

    def complete(self, sql: str, **parts: str) -> str:
        """A statement of `load` with the other `{names}` replaced by SQL, as in `str.format`."""
        return sql.format_map({name: self.translate(part) for name, part in parts.items()})

    def _read(self, file: Path, statements: dict[str, str]) -> None:
        _, *blocks = ("\n" + file.read_text(encoding="utf-8")).split("\n-- name: ")
        for block in blocks:
            name, *lines = block.splitlines()
            sql = [line for line in lines if not line.startswith("--")]
            statement = "\n".join(sql).strip().removesuffix(";")
            if name in statements or not statement or len(sql) == len(lines):
                raise ValueError(f"{file.name}: {name} is defined twice, empty or without comment")
            for part, own in self._dialect.items():
                statement = statement.replace(f"{{{part}}}", own)
            statements[name] = self.translate(statement)


@cache
def positional(sql: str) -> tuple[str, list[str]]:
    """SQL with `?` for each `:name`, and the names in order."""
    return PARAMETER.sub("?", sql), PARAMETER.findall(sql)


FIRST = 17
"""The schema of release 2.0.0, the oldest that can be upgraded."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What brings a database to the schema of this release."""

    fresh: str
    """Makes a new database."""
    upgrades: tuple[str, ...]
    """Each of them leads from one version to the next one, beginning with `FIRST`."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `schema.sql` and the files `migrations/0018_what_it_does.sql`, `0019_…`. Raises
        ValueError if the numbers have a gap."""
        files = sorted((folder / "migrations").glob("*.sql"))
        numbers = [int(file.name.partition("_")[0]) for file in files]
        if numbers != [*range(FIRST + 1, FIRST + 1 + len(files))]:
            raise ValueError(f"the migrations of {folder.name} are not {FIRST + 1}, {FIRST + 2} …")
        fresh = (folder / "schema.sql").read_text(encoding="utf-8")
        return cls(fresh, tuple(file.read_text(encoding="utf-8") for file in files))

    @property
    def version(self) -> int:
        """The number that a backend stores in the transaction that brings a database to it."""
        return FIRST + len(self.upgrades)

    def missing(self, version: int) -> list[str]:
        """The scripts that a database at `version`, 0 if it is empty, still needs.

        Raises `SchemaTooNew` and `SchemaUnsupported`.
        """
        if version == 0:
            return [self.fresh]
        if version < FIRST:
            raise SchemaUnsupported(
                f"this database was made by receiver 1.x (schema {version}), which this release"
                " cannot upgrade"
            )
        if version > self.version:
            raise SchemaTooNew(
                f"the database has schema {version}, but this release knows only {self.version}: "
                "it was written by a newer release"
            )
        return [*self.upgrades[version - FIRST :]]
