"""What the parts of the store share: one subject's statements, and ways to run them."""

from typing import ClassVar

from store.backend import Backend
from store.session import Effects, Row, Session, Work


class Table:
    """The statements of one subject, on one database."""

    subject: ClassVar[str]
    """The file in `queries/`."""

    def __init__(self, backend: Backend) -> None:
        self._writer = backend.writer
        self._readers = backend.readers
        self._sql = backend.statements.load(self.subject)

    async def _fetch(self, query: str, /, **parameters: object) -> list[Row]:
        """All rows of a query, read in one snapshot."""
        return await self._readers.fetch(self._sql[query], parameters)

    async def _fetch_one(self, query: str, /, **parameters: object) -> Row | None:
        """The first row."""
        rows = await self._fetch(query, **parameters)
        return rows[0] if rows else None

    def _run(self, query: str, /, **parameters: object) -> Work[Session, None]:
        """A work of one statement."""

        def work(session: Session, _: Effects) -> None:
            session.execute(self._sql[query], parameters)

        return work
