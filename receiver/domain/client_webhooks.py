"""The webhooks to clients that speak a provider's own API: what the domain and the engine need of
them. A provider's `shape.py` implements it."""

from collections.abc import Mapping
from typing import Any, Protocol

from store.records.jobs import Job, Status


class ClientWebhooks(Protocol):
    """The bodies of webhooks in the shape of one provider's. Pure."""

    def stored(self, job: Job) -> bytes:
        """The body about a job's present state, as it is stored: without the members that can be
        large."""

    def whole(
        self,
        status: Status,
        stored: bytes,
        job_input: str,
        result: str,
        details: Mapping[str, Any] | None,
    ) -> bytes:
        """The body as it is sent. `status` is the one that the message is about; input and result
        are the job's, as JSON, and `details` are its own."""
