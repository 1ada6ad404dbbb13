"""The inbox: what the provider sent, raw, before anything is made of it."""

import hashlib
from collections.abc import Mapping

from store.contract import Receipt
from store.errors import NotFound
from store.records import Callback, Millis, Verdict
from store.relational.advance import Changer
from store.relational.backend import Backend
from store.relational.session import Effects, Session

ROOM = 200
"""Callbacks that are stored of one job."""

TRIES = 3
"""Failed applications after which a callback is given up."""

PAGE_BYTES = 1024 * 1024

_RECEIPT_AGAIN = {Verdict.REJECTED: Receipt.REJECTED, Verdict.CONFLICT: Receipt.CONFLICT}


class SqlCallbacks:
    """`store.contract.Callbacks`."""

    def __init__(self, backend: Backend, changer: Changer) -> None:
        self._writer = backend.writer
        self._readers = backend.readers
        self._sql = backend.statements.load("callbacks")
        self._changer = changer

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

        def work(db: Session, effects: Effects) -> Receipt:
            if readable and db.execute(self._sql["receive"], parameters).rowcount:
                effects.inbox = True
                return Receipt.ACCEPTED
            receipt, poll = self._judge(db, parameters, readable)
            if poll:
                self._changer.poll_at_once(db, effects, job_id, at)
            return receipt

        return await self._writer.urgent(work)

    async def exists(self, provider: str, job_id: str) -> bool:
        parameters = {"provider": provider, "job_id": job_id}
        return bool(await self._readers.fetch(self._sql["exists"], parameters))

    async def waiting(self, limit: int) -> list[Callback]:
        rows = await self._readers.fetch(
            self._sql["waiting"], {"limit": limit, "bytes": PAGE_BYTES}
        )
        return [Callback(*row) for row in rows]

    async def failed(self, callback_id: int, now: Millis) -> int:
        def work(db: Session, effects: Effects) -> int:
            rows = db.execute(
                self._sql["count-failure"], {"callback_id": callback_id, "tries": TRIES}
            ).fetchall()
            if not rows:
                raise NotFound(f"callback {callback_id}")
            ((job_id, tries),) = rows
            if tries >= TRIES:
                self._changer.poll_at_once(db, effects, job_id, now)
            return int(tries)

        return await self._writer.background(work)

    async def backlog(self) -> tuple[int, Millis | None]:
        ((count, oldest),) = await self._readers.fetch(self._sql["backlog"], {})
        return count, oldest

    def _judge(
        self, db: Session, parameters: Mapping[str, object], readable: bool
    ) -> tuple[Receipt, bool]:
        """What a callback is that does not go straight into the inbox, and whether it is a reason
        to poll. Keeps a new one that is rejected or conflicts."""
        row = db.execute(self._sql["judge"], parameters).fetchone()
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
            db.execute(self._sql["keep"], {**parameters, "verdict": verdict.value})
            return receipt, True
        return (Receipt.DUPLICATE if readable else Receipt.REJECTED), True
