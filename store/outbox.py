"""The outbox: the webhooks to send to users, here called relay messages."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from store.changes import CommitNotice
from store.deliveries import delivery_from_row
from store.errors import NotFound
from store.lanes import Candidate, LaneTable, Look, by_job
from store.records.deliveries import Attempt, Delivery, DeliveryState
from store.records.times import Lane, Lease, Millis
from store.session import Parameters, Result, Session

ATTEMPTS_KEPT = 50
"""Attempts kept per delivery, the latest; the number of manual retries is not limited."""


class Outbox(LaneTable[Delivery]):
    """The messages that are due: one in flight per job, the job's oldest first."""

    subject = "deliveries"
    share = 8

    async def settle(
        self,
        delivery_id: str,
        holder: str,
        attempt: Attempt,
        state: DeliveryState,
        next_attempt_at: Millis | None,
    ) -> bool:
        """Record an attempt and the resulting state. Returns False if the lease was lost: then the
        attempt is recorded in the history and the state is not changed. A message that is still
        pending becomes SKIPPED if it was overtaken: an update by a newer pending message, a
        provisional failure by the job's real outcome, even one without a webhook. DISABLED (410)
        turns off the job's webhook URL, and the job's other pending messages become DISABLED
        too."""
        delivered = state is DeliveryState.DELIVERED
        parameters = {
            **asdict(attempt),
            "delivery_id": delivery_id,
            "holder": holder,
            "state": state.value,
            "next_attempt_at": next_attempt_at,
            "delivered_at": attempt.at + attempt.duration_ms if delivered else None,
        }

        def work(db: Session, notice: CommitNotice) -> bool:
            self._lock_job(db, delivery_id)
            counted = db.execute(self._sql["record-attempt"], parameters)
            settled = db.execute(self._sql["settle"], parameters).fetchone()
            for (n,) in counted.fetchall():
                if n > ATTEMPTS_KEPT:
                    old = {"delivery_id": delivery_id, "n": n - ATTEMPTS_KEPT}
                    db.execute(self._sql["forget-attempts"], old)
            if settled is None:
                return False
            job = {"job_id": settled[0]}
            if state is DeliveryState.DISABLED:
                db.execute(self._sql["turn-off"], job)
                db.execute(self._sql["disable-waiting"], job)
            self._skip_overtaken(db, [delivery_id])
            # The job's next message may be sent now.
            notice.add_due(Lane.DELIVER, 0)
            return True

        return await self._writer.normal(work)

    async def release(self, holder: str) -> None:
        """Release all leases of the holder. The messages are due as before, except that those
        overtaken meanwhile are skipped."""

        def work(db: Session, notice: CommitNotice) -> None:
            released = db.execute(self._sql["release"], {"holder": holder}).fetchall()
            self._skip_overtaken(db, (delivery_id for (delivery_id,) in released))
            notice.add_due(Lane.DELIVER, 0)

        await self._writer.normal(work)

    async def retry(self, delivery_id: str, now: Millis) -> Delivery:
        """Make a delivery due now, and restart its schedule. A PENDING one keeps its place in the
        job's order. For a DISABLED one, the job's webhook URL is turned on again.
        Raises `NotFound`."""

        def work(db: Session, notice: CommitNotice) -> Delivery:
            self._lock_job(db, delivery_id)
            found = self._read(db, delivery_id)
            self._retry(db, notice, delivery_id, found.state, now)
            return self._read(db, delivery_id)

        return await self._writer.urgent(work)

    async def retry_those(
        self, delivery_ids: Sequence[str], state: DeliveryState, now: Millis
    ) -> int:
        """Retry those deliveries that are in `state`; returns how many. See `retry`."""

        async def retry_one(delivery_id: str) -> int:
            def work(db: Session, notice: CommitNotice) -> int:
                self._lock_job(db, delivery_id)
                return self._retry(db, notice, delivery_id, state, now).rowcount

            return await self._writer.normal(work)

        return sum(await asyncio.gather(*map(retry_one, delivery_ids)))

    # --- within a transaction -------------------------------------------------------------------

    def _end_leases(self, db: Session, here: Parameters) -> None:
        for _, delivery_id in sorted(db.execute(self._sql["list-ended"], here).fetchall()):
            # As `settle` does: in the other order, the two would wait for each other.
            self._lock_job(db, delivery_id)
            db.execute(self._sql["end-lease"], {**here, "delivery_id": delivery_id})
            self._skip_overtaken(db, [delivery_id])

    def _lease(
        self, db: Session, look: Look, lease: Lease, chosen: Sequence[Candidate]
    ) -> list[Delivery]:
        leased = []
        for each in sorted(chosen, key=by_job):
            self._lock_job(db, each.id)
            parameters = {"delivery_id": each.id, **asdict(lease)}
            if db.execute(self._sql["lease"], parameters).fetchone() is not None:
                leased.append(self._read(db, each.id))
        return leased

    def _skip_overtaken(self, db: Session, delivery_ids: Iterable[str]) -> None:
        """Skip the messages that were overtaken while they were being sent (see `settle`)."""
        for delivery_id in delivery_ids:
            db.execute(self._sql["skip-overtaken"], {"delivery_id": delivery_id})

    def _retry(
        self, db: Session, notice: CommitNotice, delivery_id: str, state: DeliveryState, now: Millis
    ) -> Result:
        parameters = {"delivery_id": delivery_id, "state": state.value, "now": now}
        if state is DeliveryState.DISABLED:
            db.execute(self._sql["turn-on"], parameters)
        notice.add_due(Lane.DELIVER, 0)
        return db.execute(self._sql["retry"], parameters)

    def _lock_job(self, db: Session, delivery_id: str) -> None:
        """Lock the job of a delivery, like every other change of the job."""
        db.execute(self._sql["lock-job"], {"delivery_id": delivery_id})

    def _read(self, db: Session, delivery_id: str) -> Delivery:
        row = db.execute(self._sql["read-delivery"], {"delivery_id": delivery_id}).fetchone()
        if row is None:
            raise NotFound(delivery_id)
        return delivery_from_row(row)
