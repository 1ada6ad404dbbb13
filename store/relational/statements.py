"""The statements of a backend, by subject and name."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
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
        start, end = _values(sql)
        self._before, self._names_before = by_place(sql[:start])
        self._row, columns = by_place(sql[start:end])
        self._after, self._names_after = by_place(sql[end:])
        self._columns = _picked(columns)
        self._by_size: dict[int, str] = {}

    def run(self, session: Session, rows: Sequence[Parameters], **shared: object) -> list[Result]:
        """Run it for all rows, in order; what each statement gave. `shared` are the parameters that
        stand outside of the row."""
        return [session.execute(sql, parameters) for sql, parameters in self.bound(rows, **shared)]

    def bound(
        self, rows: Sequence[Parameters], **shared: object
    ) -> Iterator[tuple[str, list[object]]]:
        """The statements for all rows, each with its parameters by place."""
        before = [shared[name] for name in self._names_before]
        after = [shared[name] for name in self._names_after]
        for first in range(0, len(rows), TOGETHER):
            some = rows[first : first + TOGETHER]
            values = chain.from_iterable(map(self._columns, some))
            yield self._of_size(len(some)), [*before, *values, *after]

    def _of_size(self, number: int) -> str:
        if number not in self._by_size:
            rows = ",\n".join([self._row] * number)
            self._by_size[number] = f"{self._before}{rows}{self._after}"
        return self._by_size[number]


def _picked(names: Sequence[str]) -> Callable[[Parameters], tuple[object, ...]]:
    """Takes these values of a row, in order."""
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names)


@cache
def by_place(sql: str) -> tuple[str, list[str]]:
    """SQL with its parameters by place, `?` or `%s` as its driver has them, and their names in
    order."""
    names = [match["colon"] or match["percent"] for match in _NAMED.finditer(sql)]
    return _NAMED.sub(lambda match: "?" if match["colon"] else "%s", sql), names


_NAMED = re.compile(r"(?<!:):(?P<colon>[a-z_]+)|%\((?P<percent>[a-z_]+)\)s")


def _values(sql: str) -> tuple[int, int]:
    """Where the row of its `VALUES` begins and ends, brackets included."""
    start = sql.index("VALUES (") + len("VALUES ")
    depth = 0
    for end in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[end], 0)
        if depth == 0:
            return start, end + 1
    raise ValueError("a bracket is not closed")


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
