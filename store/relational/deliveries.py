"""The outbox of relay messages."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from store.errors import DeliveryPending, NotFound
from store.records import Attempt, Delivery, DeliveryState, Millis, Status
from store.relational.backend import Backend
from store.relational.session import Effects, OnJobs, Row, Session

_LAST_ID = "~"
"""Sorts after every id."""


class SqlDeliveries:
    """`store.contract.Deliveries`."""

    def __init__(self, backend: Backend) -> None:
        self._writer = backend.writer
        self._readers = backend.readers
        self._sql = backend.statements.load("deliveries")

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
        def work(db: Session, _: Effects) -> list[Delivery]:
            ended = db.execute(self._sql["list-ended-holds"], {"now": now}).fetchall()
            self._skip_overtaken(db, (delivery_id for (delivery_id,) in ended))
            hosts, users = Counter(busy_hosts), Counter(busy_users)
            taken: dict[str, str] = {}
            full = json.dumps([host for host, busy in busy_hosts.items() if busy >= per_host])
            places = db.execute(self._sql["due-places"], {"now": now, "full": full}).fetchall()
            for host, user_id in places:
                room = min(limit - len(taken), per_host - hosts[host], per_user - users[user_id])
                if room <= 0:
                    continue
                parameters = {"now": now, "host": host, "user_id": user_id, "limit": room}
                for delivery_id, job_id in db.execute(
                    self._sql["due-at-place"], parameters
                ).fetchall():
                    if job_id not in taken:
                        taken[job_id] = delivery_id
                        hosts[host] += 1
                        users[user_id] += 1
                if len(taken) >= limit:
                    break
            return self._hold(db, taken.values(), now, until, holder)

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

        def work(db: Session, effects: Effects) -> bool:
            db.execute(self._sql["count-attempt"], parameters)
            rows = db.execute(self._sql["settle"], parameters).fetchall()
            if not rows:
                return False
            job = {"job_id": rows[0][0]}
            if host_off:
                db.execute(self._sql["turn-off"], job)
                db.execute(self._sql["disable-waiting"], job)
            self._skip_overtaken(db, [delivery_id])
            effects.relay = True
            return True

        return await self._writer.background(OnJobs(work, deliveries=(delivery_id,)))

    async def postpone(self, holder: str, delivery_ids: Sequence[str], until: Millis) -> None:
        def work(db: Session, effects: Effects) -> None:
            self._let_go(db, effects, holder, delivery_ids, until)

        await self._writer.background(OnJobs(work, deliveries=tuple(delivery_ids)))

    async def release(self, holder: str) -> None:
        def work(db: Session, effects: Effects) -> None:
            held = db.execute(self._sql["list-held"], {"holder": holder}).fetchall()
            self._let_go(db, effects, holder, [delivery_id for (delivery_id,) in held], None)

        await self._writer.background(work)

    async def end_holds(self) -> None:
        def work(db: Session, effects: Effects) -> None:
            db.execute(self._sql["end-holds"])
            effects.relay = True

        await self._writer.background(work)

    async def retry(self, delivery_id: str, now: Millis) -> Delivery:
        def work(db: Session, effects: Effects) -> Delivery:
            found = self._read(db, delivery_id)
            if found.state is DeliveryState.PENDING:
                raise DeliveryPending(delivery_id)
            if found.state is DeliveryState.DISABLED:
                db.execute(self._sql["turn-on"], {"job_id": found.job_id})
            db.execute(self._sql["retry"], {"delivery_id": delivery_id, "now": now})
            effects.relay = True
            return self._read(db, delivery_id)

        return await self._writer.urgent(OnJobs(work, deliveries=(delivery_id,)))

    # --- reading --------------------------------------------------------------------------------

    async def next_due(self) -> Millis | None:
        ((at,),) = await self._readers.fetch(self._sql["next-due"], {})
        found: Millis | None = at
        return found

    async def find(self, delivery_id: str) -> Delivery | None:
        rows = await self._readers.fetch(self._sql["read-delivery"], {"delivery_id": delivery_id})
        return _delivery(rows[0]) if rows else None

    async def find_for_user(self, user_id: int, delivery_id: str) -> Delivery | None:
        parameters = {"delivery_id": delivery_id, "user_id": user_id}
        rows = await self._readers.fetch(self._sql["read-delivery-of-user"], parameters)
        return _delivery(rows[0]) if rows else None

    async def list_for_user(
        self, user_id: int, state: DeliveryState | None, before: str | None, limit: int
    ) -> list[Delivery]:
        rows = await self._readers.fetch(
            self._sql["list-by-user" if state is None else "list-by-state"],
            {"user_id": user_id, "state": state, "before": before or _LAST_ID, "limit": limit},
        )
        return [_delivery(row) for row in rows]

    async def backlog(self) -> tuple[int, Millis | None]:
        ((count, oldest),) = await self._readers.fetch(self._sql["backlog"], {})
        return count, oldest

    # --- within a transaction -------------------------------------------------------------------

    def _hold(
        self, db: Session, delivery_ids: Iterable[str], now: Millis, until: Millis, holder: str
    ) -> list[Delivery]:
        holds = [
            {"delivery_id": delivery_id, "holder": holder, "now": now, "until": until}
            for delivery_id in delivery_ids
        ]
        db.executemany(self._sql["hold"], holds)
        # All are asked for before the first is read: they may travel together.
        held = [db.execute(self._sql["read-held"], hold) for hold in holds]
        return [_delivery(row) for result in held for row in result]

    def _let_go(
        self,
        db: Session,
        effects: Effects,
        holder: str,
        delivery_ids: Sequence[str],
        at: Millis | None,
    ) -> None:
        for delivery_id in delivery_ids:
            db.execute(
                self._sql["let-go"], {"delivery_id": delivery_id, "holder": holder, "at": at}
            )
        self._skip_overtaken(db, delivery_ids)
        effects.relay = True

    def _skip_overtaken(self, db: Session, delivery_ids: Iterable[str]) -> None:
        """Skip those of these messages that a newer one overtook while they were being sent."""
        for delivery_id in delivery_ids:
            db.execute(self._sql["skip-overtaken"], {"delivery_id": delivery_id})

    def _read(self, db: Session, delivery_id: str) -> Delivery:
        row = db.execute(self._sql["read-delivery"], {"delivery_id": delivery_id}).fetchone()
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
