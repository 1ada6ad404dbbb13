"""Remembers jobs whose callback we had to refuse (overload, store outage) until they are polled:
Samsar sends a callback once, whatever the answer."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from receiver.signed_text import CallbackTokens

MAX_MISSED: Final = 500
"""Maximum number of jobs remembered; the others wait for their next poll as planned."""


class MissedCallbacks:
    """Jobs to poll soon. In memory only: after a restart, they are polled as planned."""

    def __init__(self, tokens: CallbackTokens) -> None:
        self._tokens = tokens
        self._job_ids: dict[str, None] = {}

    def add(self, job_id: str) -> None:
        """Remember a job whose callback could not be stored."""
        if len(self._job_ids) < MAX_MISSED:
            self._job_ids[job_id] = None

    def add_shed(self, target: bytes) -> None:
        """Remember the job of a shed request whose target is a valid callback URL."""
        # Refusing must stay cheap, so nothing is verified for which there is no room.
        if len(self._job_ids) >= MAX_MISSED or not target.startswith(b"/webhooks/"):
            return
        path = target.partition(b"?")[0].decode("ascii", "replace")
        provider, _, token = path.removeprefix("/webhooks/").partition("/")
        job_id = self._tokens.verify(provider, token)
        if job_id is not None:
            self.add(job_id)

    def first(self, most: int) -> list[str]:
        """The jobs that have waited longest, at most `most`."""
        return list(islice(self._job_ids, most))

    def remove(self, job_ids: Iterable[str]) -> None:
        """Forget jobs whose polls have been made due."""
        for job_id in job_ids:
            self._job_ids.pop(job_id, None)
