"""A backend's SQL statements, by subject and name."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType

from store import named_sql
from store.session import Parameters, Result, Session

SHARED = Path(__file__).with_name("queries")
"""The SQL that both databases share."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")

MAX_ROWS = 64
"""Maximum number of rows in one statement."""


class MultiRowStatement:
    """A statement with one row of `VALUES`, run for many rows at once.

    SQLite's driver releases the GIL half a dozen times in each statement, and then waits for the
    event loop to get it back: in a group of single statements that is most of the time. Each number
    of rows is a separate statement, which the drivers prepare once and cache.
    """

    def __init__(self, sql: str) -> None:
        start, end = _values(sql)
        self._before, self._names_before = positional(sql[:start])
        self._row, columns = positional(sql[start:end])
        self._after, self._names_after = positional(sql[end:])
        self._columns = _picked(columns)
        self._by_size: dict[int, str] = {}

    def run(self, session: Session, rows: Sequence[Parameters], **shared: object) -> list[Result]:
        """Run it for all rows, in order; returns each statement's result. `shared` are the
        parameters outside the row."""
        return [session.execute(sql, parameters) for sql, parameters in self.bound(rows, **shared)]

    def bound(
        self, rows: Sequence[Parameters], **shared: object
    ) -> Iterator[tuple[str, list[object]]]:
        """The statements for all rows, each with its positional parameters."""
        before = [shared[name] for name in self._names_before]
        after = [shared[name] for name in self._names_after]
        for first in range(0, len(rows), MAX_ROWS):
            some = rows[first : first + MAX_ROWS]
            values = chain.from_iterable(map(self._columns, some))
            yield self._of_size(len(some)), [*before, *values, *after]

    def _of_size(self, number: int) -> str:
        if number not in self._by_size:
            rows = ",\n".join([self._row] * number)
            self._by_size[number] = f"{self._before}{rows}{self._after}"
        return self._by_size[number]


def _picked(names: Sequence[str]) -> Callable[[Parameters], tuple[object, ...]]:
    """A function that returns these values of a row, in order."""
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names)


@cache
def positional(sql: str) -> tuple[str, list[str]]:
    """SQL with its driver's positional parameters (`?` or `%s`), and their names in order."""
    names = [match["colon"] or match["percent"] for match in _NAMED.finditer(sql)]
    return _NAMED.sub(lambda match: "?" if match["colon"] else "%s", sql), names


_NAMED = re.compile(r"(?<!:):(?P<colon>[a-z_]+)|%\((?P<percent>[a-z_]+)\)s")


def _values(sql: str) -> tuple[int, int]:
    """Start and end of the row after `VALUES`, including the parentheses."""
    start = sql.index("VALUES (") + len("VALUES ")
    depth = 0
    for end in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[end], 0)
        if depth == 0:
            return start, end + 1
    raise ValueError("a parenthesis is not closed")


class Statements:
    """The shared statements together with those of one backend."""

    def __init__(self, own: Path, parameter: str = r":\1") -> None:
        """`own` is the backend's folder of queries; `parameter` replaces `:name` in its SQL, as in
        `re.sub`. Raises ValueError if a name is defined twice."""
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
            raise ValueError(f"{subject}: {', '.join(sorted(both))} is defined twice")
        return MappingProxyType(
            {name: self.translate(sql) for name, sql in {**shared, **own}.items()}
        )

    def translate(self, sql: str) -> str:
        """The statement in the backend's parameter style."""
        return _PARAMETER.sub(self._parameter, sql)

    def subjects(self) -> list[str]:
        """All subjects."""
        return sorted({file.stem for at in (SHARED, self.own) for file in at.glob("*.sql")})
