"""SQL files: named statements, and migrations."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from store.errors import SchemaTooNew

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


def read_migrations(folder: Path) -> list[str]:
    """The files `0001_what_it_does.sql`, `0002_…`, each of which is applied once and in order.

    A backend stores the number of the last one in the transaction that applies it. Raises
    ValueError if the numbers have a gap.
    """
    files = sorted(folder.glob("*.sql"))
    if [int(file.name.partition("_")[0]) for file in files] != [*range(1, len(files) + 1)]:
        raise ValueError(f"the migrations in {folder.name} are not numbered 1, 2, 3 …")
    return [file.read_text(encoding="utf-8") for file in files]


def pending_migrations(migrations: Sequence[str], version: int) -> list[tuple[int, str]]:
    """The migrations that a database at `version` still needs, with their numbers.

    Raises `SchemaTooNew`.
    """
    if version > len(migrations):
        raise SchemaTooNew(
            f"the database has schema {version}, but this release knows only {len(migrations)}: "
            "it was written by a newer release"
        )
    return list(enumerate(migrations, 1))[version:]
