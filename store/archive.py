"""The backlog of downloads, and the removed jobs whose files must still be deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

from store.changes import CommitNotice
from store.repository import Queue
from store.session import Session


@dataclass(frozen=True, slots=True)
class Removal:
    """A removed job whose files may still be in the archive."""

    job_id: str
    user: str


class Archive(Queue):
    """The archive's queries beyond `Jobs`. Pending files are scheduled in `Lane.ARCHIVE`."""

    subject = "archive"

    async def bytes_of(self, user_id: int) -> int:
        """How many bytes of files are stored for a user's jobs."""
        return int(await self._fetch_value("users-bytes", user_id=user_id) or 0)

    async def removals(self, after: str, limit: int) -> list[Removal]:
        """Removed jobs whose files may still exist, with ids above `after`, ordered by id."""
        rows = await self._fetch("list-removals", after=after, limit=limit)
        return [Removal(*row) for row in rows]

    async def forget(self, removals: Sequence[Removal]) -> None:
        """Delete these removals, once their files are gone."""

        def work(db: Session, _: CommitNotice) -> None:
            for removal in removals:
                db.execute(self._sql["forget-removal"], {"job_id": removal.job_id})

        await self._writer.normal(work)
