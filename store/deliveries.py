"""The outbox: the webhooks to send to users, here called relay messages."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, zip_longest
from typing import NamedTuple, Protocol, TypeVar

from store.changes import CommitNotice
from store.delivery_reads import DeliveryReads, delivery_from_row
from store.errors import NotFound
from store.records.deliveries import Attempt, Delivery, DeliveryState
from store.records.times import Millis
from store.repository import Backend, latest_lease_end
from store.session import Result, Session

_MAX_USER_ID = 2**62

ATTEMPTS_KEPT = 50
"""Attempts kept per delivery, the latest; the number of manual retries is not limited."""

HOSTS_AT_ONCE = 128
"""Each call looks at a user's first hosts, up to this number, and at as many others round-robin."""

_JUST_ENDED: Mapping[str, Millis | None] = {"now": None, "latest_end": None}
"""Instead of times, for messages whose leases this transaction has ended itself."""


class Slots(Protocol):
    """The limits on messages in flight: how many more may be leased, by user and host."""

    def room(self, user_id: int, host: str) -> int:
        """How many more messages of this user to this host may be leased; may be negative."""
        ...

    def take(self, user_id: int, host: str) -> None:
        """Use one slot."""
        ...


S = TypeVar("S", bound=Slots)


class DueHost(NamedTuple):
    """A host to which messages of a user are due."""

    at: Millis
    """When the first of them is due."""
    user_id: int
    host: str
    is_last: bool
    """Whether the query stopped here, at its limit of hosts per user; `at` may be in the future."""


def round_robin(hosts: Iterable[DueHost], last_user: int) -> Iterator[DueHost]:
    """Order hosts round-robin by user, starting after `last_user`; most overdue first per user."""
    by_user: dict[int, list[DueHost]] = {}
    for each in sorted(hosts):
        by_user.setdefault(each.user_id, []).append(each)
    users = sorted(by_user, key=lambda user_id: (user_id <= last_user, user_id))
    rounds = zip_longest(*(by_user[user_id] for user_id in users))
    return filter(None, chain.from_iterable(rounds))


class Deliveries(DeliveryReads):
    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._last_host: dict[int, str] = {}
        """By user with many hosts: the host at which the last call stopped."""
        self._last_user = 0
        """The user whose message was leased last; the next lease starts after this user."""

    # --- sending --------------------------------------------------------------------------------

    async def lease(
        self, now: Millis, until: Millis, holder: str, slots: Callable[[], S]
    ) -> tuple[list[Delivery], S]:
        """Lease due messages while there are slots: one in flight per job, the job's oldest first,
        round-robin by user. The cost must not grow with the backlog of hosts without slots, nor
        with the number of a user's hosts: of many hosts, each call looks at some, and the next call
        at others. If nothing is due, it looks at none. A message can be leased again when its lease
        has ended, or if the lease ends more than ten minutes after `until`: such a lease was taken
        before the clock was set back.

        `slots` creates the slots. It is called in the writer's thread, and again if the transaction
        is repeated. Returns the messages, and the slots of the committed transaction."""

        def work(db: Session, _: CommitNotice) -> tuple[list[Delivery], S]:
            times = {"now": now, "latest_end": latest_lease_end(until)}
            ended = db.execute(self._sql["list-ended-leases"], times).fetchall()
            self._skip_overtaken(db, (delivery_id for (delivery_id,) in ended), times)
            free = slots()
            ((next_due,),) = db.execute(self._sql["next-due"]).fetchall()
            if not ended and (next_due is None or next_due > now):
                return [], free
            chosen = self._choose(db, times, free)
            return self._lease(db, chosen, {**times, "holder": holder, "until": until}), free

        return await self._writer.normal(work)

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
        self-declared failure by the job's real outcome, even one without a webhook. DISABLED (410)
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
            notice.relay = True
            return True

        return await self._writer.normal(work)

    async def release(self, holder: str) -> None:
        """Release all leases of the holder. The messages are due as before, except that those
        overtaken meanwhile are skipped."""

        def work(db: Session, notice: CommitNotice) -> None:
            released = db.execute(self._sql["release"], {"holder": holder}).fetchall()
            self._skip_overtaken(db, (delivery_id for (delivery_id,) in released))
            notice.relay = True

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

    def _choose(self, db: Session, times: Mapping[str, Millis], free: Slots) -> Collection[str]:
        """Choose due messages while there are slots, one per job."""
        chosen: dict[str, str] = {}
        hosts = self._due_hosts(db, times["now"])
        for _, user_id, host, _ in round_robin(hosts, self._last_user):
            room = free.room(user_id, host)
            if room <= 0:
                continue
            parameters = {**times, "host": host, "user_id": user_id, "limit": room}
            for delivery_id, job_id in db.execute(self._sql["due-to-host"], parameters).fetchall():
                if job_id not in chosen:
                    chosen[job_id] = delivery_id
                    free.take(user_id, host)
                    self._last_user = user_id
        return chosen.values()

    def _due_hosts(self, db: Session, now: Millis) -> list[DueHost]:
        """The hosts to which messages are due. For a user with many hosts, these are the first
        hosts and some of the others: each call continues where the last one stopped."""
        found = self._read_due_hosts(db, now, (0, ""), _MAX_USER_ID)
        last_host: dict[int, str] = {}
        for user_id, host in _last_hosts(found).items():
            after = self._last_host.get(user_id, host)
            others = self._read_due_hosts(db, now, (user_id, after), user_id)
            found += others
            last_host |= _last_hosts(others)
        self._last_host = last_host
        return [each for each in found if each.at <= now]

    def _read_due_hosts(
        self, db: Session, now: Millis, after: tuple[int, str], last_user: int
    ) -> list[DueHost]:
        """The due hosts after the pair of user and host in `after`, up to `last_user`. A host at
        the limit per user is included even if it is not due (`DueHost.is_last`)."""
        place = {"user_id": after[0], "host": after[1], "last": last_user}
        due = db.execute(self._sql["due-hosts"], {**place, "now": now, "most": HOSTS_AT_ONCE})
        return [DueHost(*row) for row in due.fetchall()]

    def _lease(
        self, db: Session, delivery_ids: Iterable[str], lease: Mapping[str, object]
    ) -> list[Delivery]:
        leases = [{**lease, "delivery_id": delivery_id} for delivery_id in delivery_ids]
        for each in leases:
            db.execute(self._sql["lease"], each)
        leased = [db.execute(self._sql["read-leased"], each) for each in leases]
        return [delivery_from_row(row) for result in leased for row in result.fetchall()]

    def _skip_overtaken(
        self,
        db: Session,
        delivery_ids: Iterable[str],
        times: Mapping[str, Millis | None] = _JUST_ENDED,
    ) -> None:
        """Skip the messages that were overtaken while they were being sent (see `settle`), unless
        another process has leased them again by these `times`."""
        for delivery_id in delivery_ids:
            db.execute(self._sql["skip-overtaken"], {**times, "delivery_id": delivery_id})

    def _retry(
        self, db: Session, notice: CommitNotice, delivery_id: str, state: DeliveryState, now: Millis
    ) -> Result:
        parameters = {"delivery_id": delivery_id, "state": state.value, "now": now}
        if state is DeliveryState.DISABLED:
            db.execute(self._sql["turn-on"], parameters)
        notice.relay = True
        return db.execute(self._sql["retry"], parameters)

    def _lock_job(self, db: Session, delivery_id: str) -> None:
        """Lock the job of a delivery, like every other change of the job."""
        db.execute(self._sql["lock-job"], {"delivery_id": delivery_id})

    def _read(self, db: Session, delivery_id: str) -> Delivery:
        row = db.execute(self._sql["read-delivery"], {"delivery_id": delivery_id}).fetchone()
        if row is None:
            raise NotFound(delivery_id)
        return delivery_from_row(row)


def _last_hosts(hosts: Iterable[DueHost]) -> dict[int, str]:
    """By user with more hosts than were read: the last one read."""
    return {each.user_id: each.host for each in hosts if each.is_last}
