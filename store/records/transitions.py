"""One change of a job, and the functions that decide it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from store.records.callbacks import CallbackVerdict
from store.records.costs import Cost
from store.records.deliveries import RelayMessage
from store.records.events import Note
from store.records.jobs import Job


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be created, with its input and event."""

    job: Job
    """Queued and due in `Lane.SUBMIT`."""
    input: str
    """ASCII JSON of up to a megabyte. It is passed on as it is: to encode it takes tens of
    milliseconds."""
    event: bytes
    """The data of its first event, which says that it is queued."""
    batch: bool = False
    """Whether it waits for a place at its provider behind all normal jobs."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a job: everything that its transaction writes."""

    job: Job
    """The job afterwards. `seq` is one higher exactly when there is an event."""
    event: bytes | None = None
    relay: RelayMessage | None = None
    verdicts: tuple[CallbackVerdict, ...] = ()
    notes: tuple[Note, ...] = ()
    whole_result: Mapping[str, Any] | None = None
    """The whole result, if `job.result` is truncated."""
    drops_large_input: bool = False
    """Whether a large input of the job is removed: it has ended without being accepted."""
    cost: Cost | None = None
    """The job's cost if this changes it."""
    releases_idempotency_key: bool = False
    """Whether the job's idempotency key, if any, can be used again."""
    ends_job: bool = False
    """Whether it finishes the job, or corrects its end."""
    frees_place: bool = False
    """Whether another job may now be submitted: the job is no longer in flight at a provider with a
    limit."""


Decide: TypeAlias = Callable[[Job], Transition | None]
"""Takes the job as read inside the write transaction; returns the change to make, or None.
It must be pure and fast: it runs in the writer's thread, and again if the batch is repeated."""

DecideCallback: TypeAlias = Callable[[int, Job], Transition | None]
"""The same, but also takes the id of the callback that is applied; the transition has its
verdict."""
