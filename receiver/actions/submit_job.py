"""A user submits a job: it is on disk before anybody else hears of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver import tracing
from receiver.actions.core import Core
from receiver.domain.announcements import event_data
from store.ids import time_of
from store.records import (
    Answer,
    Due,
    IdempotencyKey,
    Job,
    Lane,
    NewJob,
    Phase,
    Replay,
    Status,
)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a user asks for, checked."""

    provider: str
    kind: str
    input: Mapping[str, Any]
    webhook_url: str | None
    webhook_events: tuple[str, ...]
    metadata: Mapping[str, str]


def new_job(core: Core, user_id: int, user: str, submission: Submission) -> NewJob:
    """The job as it begins: queued, with an id whose time is its creation."""
    job_id = core.ids.new("job", core.clock.now())
    created_at = time_of(job_id)
    job = Job(
        id=job_id,
        user_id=user_id,
        user=user,
        provider=submission.provider,
        kind=submission.kind,
        status=Status.PENDING,
        phase=Phase.QUEUED,
        seq=1,
        created_at=created_at,
        updated_at=created_at,
        metadata=submission.metadata or None,
        webhook_url=submission.webhook_url,
        webhook_events=submission.webhook_events,
        due=Due(Lane.SUBMIT, created_at),
    )
    return NewJob(job, submission.input, event_data(job), tracing.context())


async def submit_job(
    core: Core,
    new: NewJob,
    idempotency: IdempotencyKey | None = None,
    answer: Answer | None = None,
) -> Job | Replay:
    """Commit a new job with its submission intent; the provider is called after that.

    With an idempotency key that was used before, nothing is made and what it led to is returned;
    `answer` is kept with a new key, where it is known already.

    Raises:
        KeyReused, KeyHeld: see `store.contract.Jobs.create`.
        StoreUnavailable: nothing was written.
    """
    made = await core.store.jobs.create(new, idempotency, answer)
    tracing.tell("receiver.job.id", made.id if isinstance(made, Job) else made.job_id)
    return made
