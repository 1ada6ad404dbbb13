"""Remembers the jobs whose callback we refused for a fault of ours, until they are polled: Samsar
sends a callback once, whatever the answer."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from receiver.signed_text import CallbackTokens

MOST_MISSED: Final = 500
"""Maximum number of jobs remembered; the others wait for their next poll as planned."""


class MissedCallbacks:
    """Jobs to poll at once. Per process, and lost with it: their next poll is in the store."""

    def __init__(self, tokens: CallbackTokens) -> None:
        self._tokens = tokens
        self._job_ids: dict[str, None] = {}

    def add(self, job_id: str) -> None:
        """The job's callback could not be stored."""
        if len(self._job_ids) < MOST_MISSED:
            self._job_ids[job_id] = None

    def add_shed(self, target: bytes) -> None:
        """A request with this target was shed. Only callbacks with a good token count."""
        # Refusing must stay cheap, so nothing is verified for which there is no room.
        if len(self._job_ids) >= MOST_MISSED or not target.startswith(b"/webhooks/"):
            return
        path = target.partition(b"?")[0].decode("ascii", "replace")
        provider, _, token = path.removeprefix("/webhooks/").partition("/")
        job_id = self._tokens.verify(provider, token)
        if job_id is not None:
            self.add(job_id)

    def first(self, most: int) -> list[str]:
        """The jobs that have waited longest, at most so many."""
        return list(islice(self._job_ids, most))

    def remove(self, job_ids: Iterable[str]) -> None:
        """The polls of these jobs are due."""
        for job_id in job_ids:
            self._job_ids.pop(job_id, None)
