"""The statements of a backend, by subject and name."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from store import named_sql

SHARED = Path(__file__).with_name("queries")
"""What both databases read alike."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]+[0-9]*)")

_FIRST_ROW = re.compile(r"^VALUES (.*_0.*)$", re.MULTILINE)


def several(sql: str, rows: int) -> str:
    """A statement about one row of `VALUES`, on a line of its own and with parameters that end in
    `_0`, as the same statement about so many rows."""
    found = _FIRST_ROW.search(sql)
    assert found is not None, "a statement without such a row"
    row = found[1]
    more = ",\n".join(row.replace("_0", f"_{number}") for number in range(rows))
    return f"{sql[: found.start(1)]}{more}{sql[found.end(1) :]}"


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
