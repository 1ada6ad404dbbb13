"""The statements of a backend, by subject and name."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from store import named_sql
from store.relational.session import Parameters, Result, Session

SHARED = Path(__file__).with_name("queries")
"""What both databases read alike."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")

TOGETHER = 64
"""Rows that go into one statement, at most."""


class ManyRows:
    """A statement about one row of `VALUES`, to be run for many rows at once.

    SQLite's driver gives the interpreter up half a dozen times at each statement, and then waits
    for the event loop to yield it: in a crowd of single statements that is most of the time. The
    statement for each number of rows is another one, which the drivers prepare once and keep.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql
        start, end = _values(sql)
        self._columns = [match[0].lstrip(":%(") for match in _IN_ROW.finditer(sql, start, end)]
        self._by_size: dict[int, tuple[str, list[str]]] = {}

    def run(self, session: Session, rows: Sequence[Parameters], **shared: object) -> list[Result]:
        """Run it for all rows, in order; what each statement gave. `shared` are the parameters that
        stand outside of the row."""
        results = []
        for first in range(0, len(rows), TOGETHER):
            some = rows[first : first + TOGETHER]
            sql, names = self._of_size(len(some))
            values = [row[column] for row in some for column in self._columns]
            parameters = dict(zip(names, values, strict=True))
            results.append(session.execute(sql, parameters | shared))
        return results

    def _of_size(self, size: int) -> tuple[str, list[str]]:
        if size not in self._by_size:
            names = [f"{column}_{number}" for number in range(size) for column in self._columns]
            self._by_size[size] = several(self._sql, size), names
        return self._by_size[size]


def several(sql: str, rows: int) -> str:
    """A statement about one row of `VALUES` as the same about so many: the parameters of each end
    in its number, `:name_0` (or as the driver spells it)."""
    start, end = _values(sql)
    row = sql[start:end]
    copies = [_IN_ROW.sub(rf"\g<0>_{number}", row) for number in range(rows)]
    return sql[:start] + ",\n".join(copies) + sql[end:]


def _values(sql: str) -> tuple[int, int]:
    """Where the row of its `VALUES` begins and ends, brackets included."""
    start = sql.index("VALUES (") + len("VALUES ")
    depth = 0
    for end in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[end], 0)
        if depth == 0:
            return start, end + 1
    raise ValueError("a bracket is not closed")


_IN_ROW = re.compile(r"(?::|%\()[a-z_]+")


class Statements:
    """What is shared, and beside it what a backend says in a way of its own."""

    def __init__(self, own: Path, parameter: str = r":\1") -> None:
        """`own` is the backend's folder of queries, `parameter` what stands for `:name` in its
        SQL, as a replacement of `re.sub`. Raises ValueError where a name is there twice."""
        self.own = own
        self._parameter = parameter
        self._loaded: dict[str, Mapping[str, str]] = {}

    def load(self, subject: str) -> Mapping[str, str]:
        """The statements about one subject."""
        if subject not in self._loaded:
            self._loaded[subject] = self._load(subject)
        return self._loaded[subject]

    def _load(self, subject: str) -> Mapping[str, str]:
        shared, own = (
            named_sql.load(file) if file.exists() else {}
            for file in (SHARED / f"{subject}.sql", self.own / f"{subject}.sql")
        )
        if both := shared.keys() & own.keys():
            raise ValueError(f"{subject}: {', '.join(sorted(both))} is there twice")
        return MappingProxyType(
            {name: self.translate(sql) for name, sql in {**shared, **own}.items()}
        )

    def translate(self, sql: str) -> str:
        """The statement as the backend's driver takes it."""
        return _PARAMETER.sub(self._parameter, sql)

    def subjects(self) -> list[str]:
        """Every subject that there is."""
        return sorted({file.stem for at in (SHARED, self.own) for file in at.glob("*.sql")})
