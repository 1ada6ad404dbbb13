"""The inbox: what the provider sent, raw, before anything is made of it."""

import hashlib
from collections.abc import Awaitable, Iterator, Sequence
from typing import TypedDict

from store.contract import Receipt
from store.errors import NotFound
from store.records import Callback, Millis, Verdict
from store.relational.advance import Changer
from store.relational.backend import Backend
from store.relational.session import Alike, Done, Effects, Failed, Outcome, Session, Unlike
from store.relational.statements import ManyRows

ROOM = 200
"""Callbacks that are stored of one job."""

TRIES = 3
"""Failed applications after which a callback is given up."""

PAGE_BYTES = 1024 * 1024

_ACCEPTED = Done(Receipt.ACCEPTED)
_RECEIPT_AGAIN = {Verdict.REJECTED: Receipt.REJECTED, Verdict.CONFLICT: Receipt.CONFLICT}


class _Arrival(TypedDict):
    """A callback on its way into the inbox."""

    provider: str
    job_id: str
    at: Millis
    digest: bytes
    headers: str
    body: bytes
    names: str | None
    readable: bool


class SqlCallbacks:
    """`store.contract.Callbacks`."""

    def __init__(self, backend: Backend, changer: Changer) -> None:
        self._writer = backend.writer
        self._readers = backend.readers
        self._sql = backend.statements.load("callbacks")
        self._inbox = ManyRows(self._sql["receive"])
        self._changer = changer

    def receive(
        self,
        provider: str,
        job_id: str,
        body: bytes,
        headers: str,
        at: Millis,
        names: str | None,
        *,
        readable: bool,
    ) -> Awaitable[Receipt]:
        arrival: _Arrival = {
            "provider": provider,
            "job_id": job_id,
            "at": at,
            "digest": hashlib.sha256(body).digest(),
            "headers": headers,
            "body": body,
            "names": names,
            "readable": readable,
        }
        return self._writer.urgent(Alike(self._receive, arrival))

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

    def _receive(
        self, db: Session, effects: Effects, arrivals: Sequence[_Arrival]
    ) -> Sequence[Outcome[Receipt]]:
        went_in: set[int] = set()
        for places in _rounds(arrivals):
            inserted = self._insert(db, [arrivals[place] for place in places])
            if inserted == len(places):
                went_in.update(places)
            elif len(places) > 1:
                raise Unlike
        effects.inbox = bool(went_in)
        return [
            _ACCEPTED if place in went_in else self._judge(db, effects, arrival)
            for place, arrival in enumerate(arrivals)
        ]

    def _insert(self, db: Session, arrivals: Sequence[_Arrival]) -> int:
        """Put what is good into the inbox. What went in is counted and not returned, since SQLite
        lets the event loop have the interpreter at each row, and then waits for it."""
        return sum(inserted.rowcount for inserted in self._inbox.run(db, arrivals, room=ROOM))

    def _judge(self, db: Session, effects: Effects, arrival: _Arrival) -> Outcome[Receipt]:
        """What a callback is that does not go straight into the inbox. Keeps a new one that is
        rejected or conflicts; whatever is new is a reason to poll."""
        parameters = {**arrival, "room": ROOM}
        row = db.execute(self._sql["judge"], parameters).fetchone()
        if row is None:
            return Failed(NotFound(arrival["job_id"]))
        contested, seen, stored = row
        if not arrival["readable"]:
            verdict, receipt = Verdict.REJECTED, Receipt.REJECTED
        elif contested:
            verdict, receipt = Verdict.CONFLICT, Receipt.CONFLICT
        else:
            verdict, receipt = Verdict.WAITING, Receipt.DUPLICATE
        if seen is not None:
            return Done(_RECEIPT_AGAIN.get(Verdict(seen), receipt))
        if stored < ROOM:
            db.execute(self._sql["keep"], {**parameters, "verdict": verdict.value})
        else:
            receipt = Receipt.DUPLICATE if arrival["readable"] else Receipt.REJECTED
        self._changer.poll_at_once(db, effects, arrival["job_id"], arrival["at"])
        return Done(receipt)


def _rounds(arrivals: Sequence[_Arrival]) -> Iterator[list[int]]:
    """The places of those that may go in, such that no two of a round are of the same job."""
    waiting = [place for place, arrival in enumerate(arrivals) if arrival["readable"]]
    while waiting:
        firsts: dict[str, int] = {}
        later = [
            place
            for place in waiting
            if firsts.setdefault(arrivals[place]["job_id"], place) != place
        ]
        yield list(firsts.values())
        waiting = later
