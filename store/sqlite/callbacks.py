"""The inbox: what the provider sent, raw, before anything is made of it."""

import hashlib
import sqlite3
from collections.abc import Mapping

from store.contract import Changes, Receipt
from store.errors import NotFound
from store.records import Callback, Millis, Verdict
from store.sqlite import sql
from store.sqlite.advance import poll_at_once
from store.sqlite.readers import Readers
from store.sqlite.writer import Writer

_SQL = sql.load("callbacks")

ROOM = 200
"""Callbacks that are stored of one job."""

TRIES = 3
"""Failed applications after which a callback is given up."""

PAGE_BYTES = 1024 * 1024

_RECEIPT_AGAIN = {Verdict.REJECTED: Receipt.REJECTED, Verdict.CONFLICT: Receipt.CONFLICT}


class SqliteCallbacks:
    """`store.contract.Callbacks` on SQLite."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def receive(
        self,
        provider: str,
        job_id: str,
        body: bytes,
        headers: str,
        at: Millis,
        names: str | None,
        *,
        readable: bool,
    ) -> Receipt:
        parameters = {
            "provider": provider,
            "job_id": job_id,
            "body": body,
            "headers": headers,
            "at": at,
            "names": names,
            "digest": hashlib.sha256(body).digest(),
            "room": ROOM,
        }

        def work(db: sqlite3.Connection, changes: Changes) -> Receipt:
            if readable and db.execute(_SQL["receive"], parameters).rowcount:
                changes.inbox = True
                return Receipt.ACCEPTED
            receipt, poll = _judge(db, parameters, readable)
            if poll:
                poll_at_once(db, changes, job_id, at)
            return receipt

        return await self._writer.urgent(work)

    async def exists(self, provider: str, job_id: str) -> bool:
        parameters = {"provider": provider, "job_id": job_id}
        return bool(await self._readers.fetch(_SQL["exists"], parameters))

    async def waiting(self, limit: int) -> list[Callback]:
        rows = await self._readers.fetch(_SQL["waiting"], {"limit": limit, "bytes": PAGE_BYTES})
        return [Callback(*row) for row in rows]

    async def failed(self, callback_id: int, now: Millis) -> int:
        def work(db: sqlite3.Connection, changes: Changes) -> int:
            rows = db.execute(
                _SQL["count-failure"], {"callback_id": callback_id, "tries": TRIES}
            ).fetchall()
            if not rows:
                raise NotFound(f"callback {callback_id}")
            ((job_id, tries),) = rows
            if tries >= TRIES:
                poll_at_once(db, changes, job_id, now)
            return int(tries)

        return await self._writer.background(work)

    async def backlog(self) -> tuple[int, Millis | None]:
        ((count, oldest),) = await self._readers.fetch(_SQL["backlog"], {})
        return count, oldest


def _judge(
    db: sqlite3.Connection, parameters: Mapping[str, object], readable: bool
) -> tuple[Receipt, bool]:
    """What a callback is that does not go straight into the inbox, and whether it is a reason to
    poll. Keeps a new one that is rejected or conflicts."""
    row = db.execute(_SQL["judge"], parameters).fetchone()
    if row is None:
        raise NotFound(parameters["job_id"])
    contested, seen, stored = row
    if not readable:
        verdict, receipt = Verdict.REJECTED, Receipt.REJECTED
    elif contested:
        verdict, receipt = Verdict.CONFLICT, Receipt.CONFLICT
    else:
        verdict, receipt = Verdict.WAITING, Receipt.DUPLICATE
    if seen is not None:
        return _RECEIPT_AGAIN.get(Verdict(seen), receipt), False
    if stored < ROOM:
        db.execute(_SQL["keep"], {**parameters, "verdict": verdict.value})
        return receipt, True
    return (Receipt.DUPLICATE if readable else Receipt.REJECTED), True
