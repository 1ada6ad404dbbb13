"""The outbox of relay messages."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from store.contract import Changes
from store.errors import DeliveryPending, NotFound
from store.records import Attempt, Delivery, DeliveryState, Millis, Status
from store.sqlite import sql
from store.sqlite.readers import Readers, Row
from store.sqlite.writer import Writer

_SQL = sql.load("deliveries")

_LAST_ID = "~"
"""Sorts after every id."""


class SqliteDeliveries:
    """`store.contract.Deliveries` on SQLite."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    # --- what is sent ---------------------------------------------------------------------------

    async def lease(
        self,
        now: Millis,
        until: Millis,
        holder: str,
        *,
        limit: int,
        per_host: int,
        per_user: int,
        busy_hosts: Mapping[str, int],
        busy_users: Mapping[int, int],
    ) -> list[Delivery]:
        def work(db: sqlite3.Connection, _changes: Changes) -> list[Delivery]:
            ended = db.execute(_SQL["list-ended-holds"], {"now": now}).fetchall()
            _skip_overtaken(db, (delivery_id for (delivery_id,) in ended))
            hosts, users = Counter(busy_hosts), Counter(busy_users)
            taken: dict[str, str] = {}
            for host, user_id in db.execute(_SQL["due-places"], {"now": now}).fetchall():
                room = min(limit - len(taken), per_host - hosts[host], per_user - users[user_id])
                if room <= 0:
                    continue
                parameters = {"now": now, "host": host, "user_id": user_id, "limit": room}
                for delivery_id, job_id in db.execute(_SQL["due-at-place"], parameters).fetchall():
                    if job_id not in taken:
                        taken[job_id] = delivery_id
                        hosts[host] += 1
                        users[user_id] += 1
                if len(taken) >= limit:
                    break
            return [_hold(db, delivery_id, holder, until) for delivery_id in taken.values()]

        return await self._writer.background(work)

    async def settle(
        self,
        delivery_id: str,
        holder: str,
        attempt: Attempt,
        state: DeliveryState,
        next_attempt_at: Millis | None,
        *,
        host_off: bool,
    ) -> bool:
        delivered = state is DeliveryState.DELIVERED
        parameters = {
            "delivery_id": delivery_id,
            "holder": holder,
            "at": attempt.at,
            "status_code": attempt.status_code,
            "error": attempt.error,
            "duration_ms": attempt.duration_ms,
            "excerpt": attempt.excerpt,
            "state": state.value,
            "next_attempt_at": next_attempt_at,
            "delivered_at": attempt.at + attempt.duration_ms if delivered else None,
        }

        def work(db: sqlite3.Connection, changes: Changes) -> bool:
            db.execute(_SQL["count-attempt"], parameters)
            rows = db.execute(_SQL["settle"], parameters).fetchall()
            if not rows:
                return False
            job = {"job_id": rows[0][0]}
            if host_off:
                db.execute(_SQL["turn-off"], job)
                db.execute(_SQL["disable-waiting"], job)
            _skip_overtaken(db, [delivery_id])
            changes.relay = True
            return True

        return await self._writer.background(work)

    async def postpone(self, holder: str, delivery_ids: Sequence[str], until: Millis) -> None:
        def work(db: sqlite3.Connection, changes: Changes) -> None:
            _let_go(db, changes, holder, delivery_ids, until)

        await self._writer.background(work)

    async def release(self, holder: str) -> None:
        def work(db: sqlite3.Connection, changes: Changes) -> None:
            held = db.execute(_SQL["list-held"], {"holder": holder}).fetchall()
            _let_go(db, changes, holder, [delivery_id for (delivery_id,) in held], None)

        await self._writer.background(work)

    async def end_holds(self) -> None:
        def work(db: sqlite3.Connection, changes: Changes) -> None:
            db.execute(_SQL["end-holds"])
            changes.relay = True

        await self._writer.background(work)

    async def retry(self, delivery_id: str, now: Millis) -> Delivery:
        def work(db: sqlite3.Connection, changes: Changes) -> Delivery:
            found = _read(db, delivery_id)
            if found.state is DeliveryState.PENDING:
                raise DeliveryPending(delivery_id)
            if found.state is DeliveryState.DISABLED:
                db.execute(_SQL["turn-on"], {"job_id": found.job_id})
            db.execute(_SQL["retry"], {"delivery_id": delivery_id, "now": now})
            changes.relay = True
            return _read(db, delivery_id)

        return await self._writer.urgent(work)

    # --- reading --------------------------------------------------------------------------------

    async def next_due(self) -> Millis | None:
        ((at,),) = await self._readers.fetch(_SQL["next-due"], {})
        found: Millis | None = at
        return found

    async def find(self, delivery_id: str) -> Delivery | None:
        rows = await self._readers.fetch(_SQL["read-delivery"], {"delivery_id": delivery_id})
        return _delivery(rows[0]) if rows else None

    async def find_for_user(self, user_id: int, delivery_id: str) -> Delivery | None:
        parameters = {"delivery_id": delivery_id, "user_id": user_id}
        rows = await self._readers.fetch(_SQL["read-delivery-of-user"], parameters)
        return _delivery(rows[0]) if rows else None

    async def list_for_user(
        self, user_id: int, state: DeliveryState | None, before: str | None, limit: int
    ) -> list[Delivery]:
        rows = await self._readers.fetch(
            _SQL["list-by-user" if state is None else "list-by-state"],
            {"user_id": user_id, "state": state, "before": before or _LAST_ID, "limit": limit},
        )
        return [_delivery(row) for row in rows]

    async def backlog(self) -> tuple[int, Millis | None]:
        ((count, oldest),) = await self._readers.fetch(_SQL["backlog"], {})
        return count, oldest


def _hold(db: sqlite3.Connection, delivery_id: str, holder: str, until: Millis) -> Delivery:
    db.execute(_SQL["hold"], {"delivery_id": delivery_id, "holder": holder, "until": until})
    return _read(db, delivery_id)


def _let_go(
    db: sqlite3.Connection,
    changes: Changes,
    holder: str,
    delivery_ids: Sequence[str],
    at: Millis | None,
) -> None:
    for delivery_id in delivery_ids:
        db.execute(_SQL["let-go"], {"delivery_id": delivery_id, "holder": holder, "at": at})
    _skip_overtaken(db, delivery_ids)
    changes.relay = True


def _skip_overtaken(db: sqlite3.Connection, delivery_ids: Iterable[str]) -> None:
    """Skip those of these messages that a newer one overtook while they were being sent."""
    for delivery_id in delivery_ids:
        db.execute(_SQL["skip-overtaken"], {"delivery_id": delivery_id})


def _read(db: sqlite3.Connection, delivery_id: str) -> Delivery:
    row = db.execute(_SQL["read-delivery"], {"delivery_id": delivery_id}).fetchone()
    if row is None:
        raise NotFound(delivery_id)
    return _delivery(row)


def _delivery(row: Row) -> Delivery:
    id_, job_id, user_id, status, seq, state, url, host, body, step, *times, attempts = row
    created_at, next_attempt_at, delivered_at = times
    return Delivery(
        id=id_,
        job_id=job_id,
        user_id=user_id,
        status=Status(status),
        seq=seq,
        state=DeliveryState(state),
        url=url,
        host=host,
        body=body,
        step=step,
        created_at=created_at,
        next_attempt_at=next_attempt_at,
        delivered_at=delivered_at,
        attempts=tuple(Attempt(*values) for values in json.loads(attempts)),
    )
