"""Shared by all routes that create a job. A repeated Idempotency-Key creates no second job: the
first response is replayed."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from receiver.engine.new_job import JobRequest, new_job
from receiver.http_api.auth import Caller
from receiver.http_api.body import disconnected, parse_object
from receiver.http_api.context import ApiContext
from receiver.http_api.idempotency import IN_USE_SLACK, read_key
from receiver.streams.hub import STOP
from store.idempotency import IdempotencyKey, Replay, StoredResponse
from store.records.jobs import Job
from store.records.times import Millis
from store.rows import to_json

log = structlog.get_logger()


@dataclass
class Creation(ABC):
    """One request that creates a job. Each form of the API has a subclass."""

    context: ApiContext
    request: Request
    caller: Caller
    wait: float | None
    """How long the request may wait for its job, in seconds; None if the client may ask to wait and
    did not."""

    empty: ClassVar[bytes] = b""
    """What a body without a byte stands for."""

    input_json: str = field(init=False)
    """The job's input, once the body is read."""

    def __post_init__(self) -> None:
        self._until = self.context.services.clock.monotonic() + (self.wait or 0)

    @abstractmethod
    def read(self, body: Mapping[str, Any]) -> JobRequest:
        """Read the body. Raises Problem 400."""

    @abstractmethod
    def is_settled(self, job: Job) -> bool:
        """Whether the wait can end with the job in this state."""

    @abstractmethod
    async def response(self, job: Job, document: bytes | None = None) -> StoredResponse:
        """The response with the job in its present state: at once, after the wait, or to a replay.
        `document` is the job's, if it is known."""

    @abstractmethod
    async def rebuild_response(self, replay: Replay) -> StoredResponse:
        """The response to a repeated request whose first response was not stored."""

    async def respond(self) -> Response:
        """Create the job in the request's body, unless its Idempotency-Key has done so before.

        Raises:
            Problem: the body or the key is refused.
            KeyReused, KeyInUse, StorageFull, BudgetExceeded, NoPrice: by the store.
            NumberTooLong: a number in the input cannot be priced.
            ClientDisconnect: the client disconnected while it waited.
        """
        context, caller = self.context, self.caller
        services = context.services
        body, self.input_json, key = await context.bodies.read(
            self.request, caller.key_hash, self._parse
        )
        replay = None
        if key is not None:
            replay = await services.store.idempotency.find(caller.user_id, key)
        if replay is None:
            new = new_job(services, caller.user_id, caller.user, self.read(body), self.input_json)
            first = None if self.wait else await self.response(new.job, new.event)
            made = await services.store.jobs.create(
                new, key, first, user_storage=services.user_storage
            )
            if isinstance(made, Job):
                return _sent(first or await self._wait(made, has_key=key is not None))
            replay = made
        first = replay.stored_response or await self.rebuild_response(replay)
        # The second name is that of other APIs, for their clients.
        return _sent(first, {"Idempotency-Replayed": "true", "Idempotent-Replayed": "true"})

    def input_in(self, body: Mapping[str, Any]) -> Any:
        """The job's input in the body."""
        return body.get("input", {})

    def key_in_use(self) -> Millis:
        """How long a repeat of the request is refused while this one waits."""
        return int((self.wait or 0) * 1_000) + IN_USE_SLACK

    def _parse(self, raw: bytes) -> tuple[Mapping[str, Any], str, IdempotencyKey | None]:
        """The body, its input as it is stored and sent, and the request's key."""
        body = parse_object(raw or self.empty)
        key = read_key(self.context, self.request, body, self.key_in_use())
        return body, to_json(self.input_in(body)), key

    async def _wait(self, job: Job, *, has_key: bool) -> StoredResponse:
        response = None
        try:
            response = await self.response(await self.wait_for(job))
        finally:
            if has_key:
                # Without a response, normally because the client disconnected, this only marks the
                # key as no longer in use: replays are then built from the job.
                await self._store(job.id, response)
        return response

    async def _store(self, job_id: str, response: StoredResponse | None) -> None:
        try:
            await self.context.services.store.idempotency.store_response(job_id, response)
        except Exception as error:  # noqa: BLE001 - the job is stored in any case
            # The key is in use until the wait would be over; then replays are built from the job.
            log.warning("a first response is not stored", job=job_id, reason=str(error))

    async def wait_for(self, job: Job) -> Job:
        """Wait until the job's state is enough, the time is over, the job cannot be read, or
        shutdown begins; returns the job as last seen.

        Raises:
            ClientDisconnect: the client disconnected.
        """
        context = self.context
        gone = asyncio.ensure_future(disconnected(self.request.receive))
        try:
            with context.hub.subscribed(job.id, STOP) as subscription:
                gone.add_done_callback(lambda _: subscription.notify())
                while True:
                    found = await self.find(job.id)
                    job = found or job
                    left = self._until - context.services.clock.monotonic()
                    if gone.done():
                        raise ClientDisconnect
                    if not found or self.is_settled(job) or left <= 0 or context.stopping:
                        return job
                    await subscription.wait(left)
        finally:
            gone.cancel()

    async def find(self, job_id: str) -> Job | None:
        """The job; None if it has been removed or cannot be read. A failed read must not become an
        error response: the job is stored, and the client would submit it again."""
        try:
            return await self.context.services.store.jobs.find(job_id)
        except Exception as error:  # noqa: BLE001 - the job is stored in any case
            log.warning("a request cannot read its own job", job=job_id, reason=str(error))
            return None


def _sent(stored: StoredResponse, further: Mapping[str, str] | None = None) -> Response:
    return Response(stored.body, stored.status_code, {**stored.headers, **(further or {})})
