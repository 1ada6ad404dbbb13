"""The base class of the store's parts: one subject's SQL statements, and methods to run them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar, TypeVar

from store.changes import CommitNotice
from store.ids import Ids
from store.records.times import Millis
from store.session import ReadPool, Row, Session
from store.sql import Statements
from store.writer import Work, Writer

T = TypeVar("T")

LAST_ID = "~"
"""Sorts after every id."""

PAGE_BYTES = 1024 * 1024
"""Bytes of text after which a page of a list or of events ends."""

MAX_EXAMINED = 5_000
"""Maximum number of rows examined for one page of a list when no index covers the filter."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One database."""

    writer: Writer
    reads: ReadPool
    statements: Statements
    ids: Ids


class Repository:
    """The statements of one subject, on one database."""

    subject: ClassVar[str]
    """The file in `queries/`."""

    def __init__(self, backend: Backend) -> None:
        self._writer = backend.writer
        self._reads = backend.reads
        self._ids = backend.ids
        self._statements = backend.statements
        self._sql = backend.statements.load(self.subject)

    async def _fetch(
        self, query: str, parts: Mapping[str, str] | None = None, /, **parameters: object
    ) -> list[Row]:
        """All rows of a query, completed by `parts` (`Statements.complete`), read in one
        snapshot."""
        sql = self._sql[query]
        if parts is not None:
            sql = self._statements.complete(sql, **parts)
        return await self._reads.fetch(sql, parameters)

    async def _fetch_page(
        self,
        query: str,
        parts: Mapping[str, str],
        /,
        *,
        limit: int,
        examined: int | None,
        **parameters: object,
    ) -> tuple[list[Row], str | None]:
        """A page of a query whose rows begin with the candidate's number, whether it matches the
        filter, and its id. `examined` is the maximum number of candidates, None if all of them
        match. Returns the matching rows, without their first two columns, and the id after which
        the next page begins."""
        # One extra row shows whether there are more.
        most = limit + 1 if examined is None else examined
        rows = await self._fetch(query, parts, most=most, limit=limit + 1, **parameters)
        page = _within(rows[:limit], PAGE_BYTES)
        ended = len(page) == len(rows) and (not rows or rows[-1][0] < most)
        return [row[2:] for row in page if row[1]], None if ended else page[-1][2]

    async def _find(
        self, query: str, make: Callable[[Row], T], /, **parameters: object
    ) -> T | None:
        """What `make` returns for the first row; None if there is no row."""
        rows = await self._fetch(query, **parameters)
        return make(rows[0]) if rows else None

    async def _fetch_value(self, query: str, /, **parameters: object) -> Any | None:
        """The first value of the first row; None if there is no row."""
        return await self._find(query, itemgetter(0), **parameters)

    def _run(self, query: str, /, **parameters: object) -> Work[None]:
        """A `Work` that runs one statement."""

        def work(session: Session, _: CommitNotice) -> None:
            session.execute(self._sql[query], parameters)

        return work


class Queue(Repository):
    """A subject whose rows wait for work."""

    async def backlog(self) -> tuple[int, Millis | None]:
        """The number of waiting rows, and since when the oldest of them waits."""
        ((count, oldest),) = await self._fetch("backlog")
        return count, oldest


def _within(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """The first rows up to about `most` bytes of text, and at least one. Values of type `bytes` do
    not count: lists do not show the bodies of deliveries."""
    size = 0
    for number, row in enumerate(rows, start=1):
        size += sum(len(value) for value in row if isinstance(value, str))
        if size > most:
            return rows[:number]
    return rows


def user_condition(user_id: int | None) -> Mapping[str, str]:
    """The part `{whose}` of a query: the rows of `:user_id`, or of everybody."""
    return {"whose": "TRUE" if user_id is None else "user_id = :user_id"}
