"""SQL files: named statements, statements for many rows, and migrations."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from store.errors import SchemaTooNew
from store.session import Parameters, Result, Row, Session

SHARED = Path(__file__).with_name("queries")
"""The SQL that both databases share."""

MAX_ROWS = 64
"""Maximum number of rows in one statement."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_VALUES = re.compile(r"(?<=VALUES )(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))")
"""The row after VALUES, with casts of parameters in either style."""
_NAMED = re.compile(r"(?<!:):(?P<colon>[a-z_]+)|%\((?P<percent>[a-z_]+)\)s")


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
        return _PARAMETER.sub(self._parameter, sql)

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


def run_rows(
    session: Session, sql: str, rows: Sequence[Parameters], **shared: object
) -> list[Result]:
    """Run a statement with one row of `VALUES` for many rows at once, in order; returns the result
    of each statement that this takes. `shared` are the parameters outside the row.

    SQLite's driver releases the GIL half a dozen times in each statement, and then waits for the
    event loop to get it back: in a group of single statements that is most of the time. Each number
    of rows is a separate statement, which the drivers prepare once and cache.
    """
    return [session.execute(*statement) for statement in bind_rows(sql, rows, **shared)]


def read_rows(
    session: Session, sql: str, rows: Sequence[Parameters], **shared: object
) -> Iterator[Row]:
    """The rows that `run_rows` finds."""
    results = run_rows(session, sql, rows, **shared)
    return chain.from_iterable(result.fetchall() for result in results)


def bind_rows(
    sql: str, rows: Sequence[Parameters], **shared: object
) -> Iterator[tuple[str, list[object]]]:
    """The statements for all rows, each with its positional parameters."""
    for first in range(0, len(rows), MAX_ROWS):
        some = rows[first : first + MAX_ROWS]
        complete, before, names, after = _for_rows(sql, len(some))
        yield (
            complete,
            [
                *[shared[name] for name in before],
                *[row[name] for row in some for name in names],
                *[shared[name] for name in after],
            ],
        )


@cache
def _for_rows(sql: str, number: int) -> tuple[str, list[str], list[str], list[str]]:
    """The statement for this number of rows, and the names of the parameters before its row, in it
    and after it."""
    split = map(positional, _VALUES.split(sql, maxsplit=1))
    (before, names_before), (row, names), (after, names_after) = split
    rows = ",\n".join([row] * number)
    return f"{before}{rows}{after}", names_before, names, names_after


@cache
def positional(sql: str) -> tuple[str, list[str]]:
    """SQL with its driver's positional parameters (`?` or `%s`), and their names in order."""
    names = [match["colon"] or match["percent"] for match in _NAMED.finditer(sql)]
    return _NAMED.sub(lambda match: "?" if match["colon"] else "%s", sql), names


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
