"""Users, jobs and changes for tests of the store, without the state machine."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Self, TypeVar

from store.callbacks import IncomingCallback, Receipt
from store.changes import CommitNotice
from store.database import Store
from store.deliveries import DeliveryFilter
from store.ids import Ids
from store.keys import ApiKey, User
from store.lanes import Choose, Look
from store.open import open_store
from store.records.callbacks import CallbackVerdict, Verdict
from store.records.deliveries import Attempt, Delivery, DeliveryState, RelayMessage
from store.records.jobs import ErrorCode, Job, JobError, Phase, Status
from store.records.times import Due, Lane, Lease, Millis
from store.records.transitions import Decide, DecideCallback, NewJob, Transition

T = TypeVar("T")

NOW: Millis = 1_767_323_045_678
SECOND: Millis = 1_000
HOOK = "https://hooks.example/in"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """The store at this address, as a service opens it, until the block is left."""
    store = await open_store(url, serving=True)
    try:
        yield store
    finally:
        await store.close()


def event_data(job: Job) -> bytes:
    return json.dumps({"request_id": job.id, "seq": job.seq, "status": job.status}).encode()


def change(at: Millis = NOW, *, relay: bool = False, **fields: Any) -> Decide:
    """A visible change of some fields, with its event and, if requested, its relay message."""

    def decide(job: Job) -> Transition:
        after = replace(job, **{"seq": job.seq + 1, "updated_at": at, **fields})
        return Transition(after, event_data(after), message(after) if relay else None)

    return decide


def message(job: Job) -> RelayMessage:
    provisional = job.error is not None and job.error.code is ErrorCode.DEADLINE_EXCEEDED
    return RelayMessage(job.done, provisional, job.status, event_data(job))


def quietly(**fields: Any) -> Decide:
    """A change without an event."""
    return lambda job: Transition(replace(job, **fields))


def accepted(at: Millis = NOW, poll_at: Millis = NOW + 30 * SECOND, **fields: Any) -> Decide:
    return change(
        at, **{"phase": Phase.ACCEPTED, "accepted_at": at, "due": Due(Lane.POLL, poll_at), **fields}
    )


def rendering(at: Millis = NOW, *, relay: bool = False, **fields: Any) -> Decide:
    return change(
        at,
        relay=relay,
        **{
            "status": Status.IN_PROGRESS,
            "phase": Phase.RENDERING,
            "accepted_at": at,
            "due": Due(Lane.POLL, at + 5 * SECOND),
            **fields,
        },
    )


def completed(at: Millis = NOW, *, relay: bool = False) -> Decide:
    return change(
        at,
        relay=relay,
        status=Status.COMPLETED,
        phase=Phase.FINISHED,
        progress=100,
        result={"videoUrl": "https://cdn.example/one.mp4"},
        result_at=at,
        done_at=at,
        error=None,
        due=None,
    )


def failed(
    at: Millis = NOW, code: ErrorCode = ErrorCode.PROVIDER_FAILED, *, relay: bool = False
) -> Decide:
    return change(
        at,
        relay=relay,
        status=Status.FAILED,
        phase=Phase.FINISHED,
        error=JobError(code, "It failed.", True),
        done_at=at,
        due=None,
    )


def attempt(at: Millis = NOW) -> Attempt:
    return Attempt(at, 500, None, 12, "oops")


def everything(candidates: Sequence[T]) -> Sequence[T]:
    """Choose all that is due."""
    return candidates


@dataclass
class World:
    """A store, its users, and the changes that it announced."""

    store: Store
    ann: User
    bob: User
    ids: Ids
    notified: list[CommitNotice]

    @classmethod
    async def begin(cls, store: Store) -> Self:
        notified: list[CommitNotice] = []
        store.on_commit = notified.append
        ann, bob = await add_key(store, "ann"), await add_key(store, "bob")
        notified.clear()
        return cls(store, ann, bob, Ids(Random(7).randbytes), notified)

    def job(self, user: User | None = None, at: Millis = NOW, **fields: Any) -> Job:
        owner = user or self.ann
        return Job(
            **{
                "id": self.ids.new("job", at),
                "user_id": owner.id,
                "user": owner.name,
                "provider": "samsar",
                "kind": "create_movie",
                "status": Status.PENDING,
                "phase": Phase.QUEUED,
                "seq": 1,
                "created_at": at,
                "updated_at": at,
                "due": Due(Lane.SUBMIT, at),
                **fields,
            }
        )

    async def create(self, user: User | None = None, at: Millis = NOW, **fields: Any) -> Job:
        job = self.job(user, at, **fields)
        created = await self.store.jobs.create(new(job))
        assert created == job
        return job

    async def advance(self, job: Job, *decisions: Decide) -> Job:
        for decide in decisions:
            job, _ = await self.store.jobs.advance(job.id, decide)
        return job

    async def receive(
        self,
        job: Job,
        body: bytes = b'{"status":"IN_PROGRESS"}',
        provider_request_id: str | None = None,
        use: DecideCallback | Verdict | None = None,
        **fields: Any,
    ) -> Receipt:
        """Receive a callback, which changes nothing of its job unless there is a `use`."""
        given = {"provider_request_id": provider_request_id, **fields}
        arrival = incoming_callback(job.id, body, job.provider, **given)
        return await self.store.callbacks.receive(arrival, use or unchanged)

    async def remove_finished(self, done_before: Millis = NOW + 1, limit: int = 100) -> int:
        """Remove jobs that ended before this time; returns how many."""
        return (await self.store.retention.remove(done_before, limit)).jobs

    async def lease(
        self,
        holder: str = "me",
        at: Millis = NOW,
        until: Millis | None = None,
        limit: int = 64,
        choose: Choose = everything,
    ) -> list[Delivery]:
        until = at + 60 * SECOND if until is None else until
        lease = Lease(holder, until)
        look = Look(Lane.DELIVER, at, limit, choose)
        return (await self.store.outbox.lease(look, lease)).taken

    async def find(self, job: Job) -> Job:
        """The job as stored."""
        found = await self.store.jobs.find(job.id)
        assert found is not None
        return found

    async def settle(
        self,
        delivery: Delivery,
        state: DeliveryState = DeliveryState.DELIVERED,
        next_attempt_at: Millis | None = None,
        *,
        made: Attempt | None = None,
        holder: str = "me",
    ) -> bool:
        return await self.store.outbox.settle(
            delivery.id, holder, made or attempt(), state, next_attempt_at
        )

    async def deliveries(self, job: Job) -> dict[int, DeliveryState]:
        """The states of a job's messages, by the `seq` of their events."""
        found, _ = await self.store.deliveries.list_page(DeliveryFilter(job_id=job.id), None, 200)
        return {each.seq: each.state for each in reversed(found)}


def unchanged(callback_id: int, job: Job) -> Transition:
    """Apply a callback that changes nothing of its job."""
    return Transition(job, verdicts=(CallbackVerdict(callback_id, Verdict.APPLIED),))


def incoming_callback(
    job_id: str,
    body: bytes,
    provider: str = "samsar",
    *,
    at: Millis = NOW,
    provider_request_id: str | None = None,
    verified: bool = False,
) -> IncomingCallback:
    """A callback to a job."""
    return {
        "provider": provider,
        "job_id": job_id,
        "at": at,
        "digest": hashlib.sha256(body).digest(),
        "headers": "{}",
        "body": body,
        "provider_request_id": provider_request_id,
        "verified": verified,
    }


async def lease_due(
    store: Store, lane: Lane, now: Millis, until: Millis, holder: str, limit: int
) -> list[Job]:
    """Lease due jobs, at most so many."""
    look: Look = Look(lane, now, limit, everything)
    return (await store.due.lease(look, Lease(holder, until))).taken


def new(job: Job) -> NewJob:
    return NewJob(job, '{"prompt":"a cat"}', event_data(job))


async def add_key(store: Store, user: str, prefix: str = "rk_", **fields: Any) -> User:
    key = ApiKey(
        **{
            "hash": Random(user + prefix).randbytes(32).hex(),
            "prefix": prefix + user,
            "user_id": 0,
            "user": user,
            "admin": False,
            "created_at": NOW,
            "revoked_at": None,
            **fields,
        }
    )
    return await store.keys.add(key, f"whsec_{user}")


def bodies(count: int) -> list[bytes]:
    return [b'{"progress":%d}' % number for number in range(count)]
