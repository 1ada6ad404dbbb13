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

TOGETHER = (64, 16, 4, 1)
"""Rows that go into one statement. Few sizes, so that each is prepared once and kept."""


class ManyRows:
    """A statement about one row of `VALUES`, to be run for many rows at once.

    SQLite's driver gives the interpreter up at each statement, and then waits for the event loop to
    yield it: in a crowd of single statements that is most of the time.
    """

    def __init__(self, sql: str) -> None:
        self._by_size = {size: several(sql, size) for size in TOGETHER}

    def run(self, session: Session, rows: Sequence[Parameters], **shared: object) -> list[Result]:
        """Run it for all rows, in order; what each statement gave. `shared` are the parameters that
        stand outside of the row."""
        results = []
        while rows:
            size = next(size for size in TOGETHER if size <= len(rows))
            some, rows = rows[:size], rows[size:]
            parameters = {
                f"{name}_{number}": value
                for number, row in enumerate(some)
                for name, value in row.items()
            }
            results.append(session.execute(self._by_size[size], {**parameters, **shared}))
        return results


def several(sql: str, rows: int) -> str:
    """A statement about one row of `VALUES` as the same about so many: the parameters of each end
    in its number, `:name_0` (or as the driver spells it)."""
    start = sql.index("VALUES (") + len("VALUES ")
    depth = 0
    for end in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[end], 0)
        if depth == 0:
            break
    row = sql[start : end + 1]
    copies = [_IN_ROW.sub(rf"\g<0>_{number}", row) for number in range(rows)]
    return sql[:start] + ",\n".join(copies) + sql[end + 1 :]


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
