"""Users, jobs and changes to put into a store, without the machine that decides them."""

import json
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Self

from store.contract import Changes, Decide, Store
from store.ids import Ids
from store.records import (
    ApiKey,
    Attempt,
    Delivery,
    DeliveryState,
    Due,
    ErrorCode,
    Job,
    JobError,
    Lane,
    Millis,
    Move,
    NewJob,
    Phase,
    RelayMessage,
    Status,
    User,
)

NOW: Millis = 1_767_323_045_678
SECOND: Millis = 1_000
HOOK = "https://hooks.example/in"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 vendor=value"

JOB_AS_BEFORE_TRACES = f"""
    INSERT INTO jobs (id, user_id, provider, kind, status, phase, seq, created_at, updated_at)
    VALUES (:id, 1, 'samsar', 'create_movie', 'PENDING', 'queued', 1, {NOW}, {NOW})
"""
"""A job of user 1 as the first schema's release writes it."""


def event_data(job: Job) -> bytes:
    return json.dumps({"request_id": job.id, "seq": job.seq, "status": job.status}).encode()


def change(at: Millis = NOW, *, relay: bool = False, **fields: Any) -> Decide:
    """A visible change of some fields, with its event and, where asked for, its relay message."""

    def decide(job: Job) -> Move:
        after = replace(job, **{"seq": job.seq + 1, "updated_at": at, **fields})
        return Move(after, event_data(after), message(after) if relay else None)

    return decide


def message(job: Job) -> RelayMessage:
    self_declared = job.error is not None and job.error.code is ErrorCode.DEADLINE_EXCEEDED
    return RelayMessage(job.done, self_declared, job.status, event_data(job))


def quietly(**fields: Any) -> Decide:
    """A change that nobody is told of."""
    return lambda job: Move(replace(job, **fields))


def accepted(at: Millis = NOW, poll_at: Millis = NOW + 30 * SECOND, **fields: Any) -> Decide:
    return change(
        at,
        **{"phase": Phase.ACCEPTED, "accepted_at": at, "due": Due(Lane.POLL, poll_at), **fields},
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


def attempt(at: Millis = NOW, status_code: int | None = 500) -> Attempt:
    return Attempt(at, status_code, None, 12, "oops")


@dataclass
class World:
    """A store, its users, and what it rang."""

    store: Store
    ann: User
    bob: User
    ids: Ids
    rung: list[Changes]

    @classmethod
    async def begin(cls, store: Store) -> Self:
        rung: list[Changes] = []
        store.on_change = rung.append
        ann = await add_key(store, "ann")
        bob = await add_key(store, "bob")
        rung.clear()
        return cls(store, ann, bob, Ids(Random(7).randbytes), rung)

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
        names: str | None = None,
        *,
        at: Millis = NOW,
        readable: bool = True,
    ) -> str:
        return await self.store.callbacks.receive(
            job.provider, job.id, body, "{}", at, names, readable=readable
        )

    async def lease(
        self, holder: str = "me", at: Millis = NOW, until: Millis | None = None, **limits: Any
    ) -> list[Delivery]:
        return await self.store.deliveries.lease(
            at,
            at + 60 * SECOND if until is None else until,
            holder,
            **{
                "limit": 64,
                "per_host": 4,
                "per_user": 16,
                "busy_hosts": {},
                "busy_users": {},
                **limits,
            },
        )

    async def deliveries(self, job: Job) -> dict[int, DeliveryState]:
        """The state of each of a job's messages, by the seq of its event."""
        found = await self.store.deliveries.list_for_user(job.user_id, None, None, 200)
        return {each.seq: each.state for each in reversed(found) if each.job_id == job.id}


def new(job: Job) -> NewJob:
    return NewJob(job, {"prompt": "a cat"}, event_data(job))


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
