"""Leased jobs that wait for a slot."""

from collections.abc import Iterator

from receiver.domain.fair_queue import FairQueue
from store.records.jobs import Job
from store.records.times import Millis


class LeasedJobs:
    """Jobs that a worker has leased, each once. They wait for slots, which users share fairly.

    A lease may end while its job waits: check its end when you take the job.
    """

    def __init__(self, slots: int) -> None:
        self._queue = FairQueue[str](slots)
        self._leased: dict[str, tuple[Job, Millis]] = {}

    def __len__(self) -> int:
        return len(self._leased)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._leased

    def __iter__(self) -> Iterator[str]:
        """The ids of the waiting jobs."""
        return iter(self._leased)

    def waiting(self, user_id: int) -> int:
        """How many jobs of the user wait."""
        return self._queue.waiting(user_id)

    def add(self, job: Job, until: Millis, *, ahead: bool = False) -> None:
        """Queue a job whose lease ends at `until`, behind or ahead of its user's others. A job that
        waits already keeps its place."""
        if job.id not in self._leased:
            self._queue.add(job.user_id, job.id, ahead=ahead)
        self._leased[job.id] = job, until

    def take(self) -> tuple[Job, Millis] | None:
        """Give a slot to the next job and return it with the end of its lease; None if no slot is
        free or no job waits."""
        job_id = self._queue.take()
        return None if job_id is None else self._leased.pop(job_id)

    def give_back(self, user_id: int) -> None:
        """Release a slot of the user."""
        self._queue.give_back(user_id)
