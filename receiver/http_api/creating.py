"""Shared by all routes that create a job. A repeated Idempotency-Key creates no second job, and
gets the first response again. Each request is a span in its job's trace."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from receiver import tracing
from receiver.actions.submit_job import Submission, new_job, submit_job
from receiver.http_api.auth import Caller
from receiver.http_api.body import ClientGone, read_object
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import as_problem, unexpected
from receiver.http_api.idempotency import read_key
from receiver.streams import hub
from store.idempotency import Answer, IdempotencyKey, Replay
from store.records.jobs import Job
from store.records.moves import NewJob

READ_AGAIN_SECONDS: Final = 0.5
"""Pause after a failed read, unless the job changes earlier."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Creation:
    """How one route creates jobs."""

    read: Callable[[Mapping[str, Any]], Submission]
    """Reads the body. Raises Problem 400."""
    at_once: Callable[[NewJob], Answer] | None
    """Builds a response that is sent as soon as the job is stored; None if the request waits."""
    wait: float
    """How long the request may wait, in seconds from its arrival."""
    is_enough: Callable[[Job], bool]
    """Whether the wait can end with the job in this state."""
    answer: Callable[[Job], Answer]
    """Builds the response after the wait."""
    answer_again: Callable[[Replay], Awaitable[Answer]]
    """Builds the response to a repeated request whose first response was not stored."""


async def create_once(
    context: ApiContext, request: Request, caller: Caller, how: Creation
) -> Response:
    """Create the job in the request's body, unless its Idempotency-Key has done so before.

    Raises:
        Problem: the body or the key is refused.
        KeyReused, KeyHeld: by the store.
        ClientGone: the client disconnected while it waited.
    """
    # W3C Trace Context allows repeated headers; a mapping would keep only the first. Headers that
    # are too long to store are ignored.
    headers = {
        name: [text for text in request.headers.getlist(name) if len(text) <= tracing.LONGEST_STATE]
        for name in ("traceparent", "tracestate")
    }
    with tracing.answering(request.method, request.scope["route_template"], headers):
        try:
            response = await _create_once(context, request, caller, how)
        except ClientGone:
            raise
        except Exception as error:  # recorded in the span, and raised again
            _record_status((as_problem(error) or unexpected()).status)
            raise
        _record_status(response.status_code)
        return response


def _record_status(status: int) -> None:
    tracing.set_attribute("http.response.status_code", status)
    if status >= 500:
        tracing.failed(str(status))


async def _create_once(
    context: ApiContext, request: Request, caller: Caller, how: Creation
) -> Response:
    services = context.services
    until = services.clock.monotonic() + how.wait
    body = await read_object(request, context.settings.max_body_bytes)
    key = read_key(context, request, body, int(how.wait * 1_000))
    replay = None
    if key is not None:
        replay = await services.store.idempotency.find(
            caller.user_id, key.path, key.key, key.fingerprint, services.clock.now()
        )
    if replay is None:
        new = new_job(services, caller.user_id, caller.user, how.read(body))
        first = how.at_once and how.at_once(new)
        made = await submit_job(services, new, key, first)
        if isinstance(made, Job):
            return _response(first or await _answer_later(context, request, made, key, how, until))
        replay = made
    answer = replay.answer or await how.answer_again(replay)
    return _response(answer, {"Idempotency-Replayed": "true"})


def _response(answer: Answer, further: Mapping[str, str] | None = None) -> Response:
    return Response(answer.body, answer.status_code, {**answer.headers, **(further or {})})


async def _answer_later(
    context: ApiContext,
    request: Request,
    job: Job,
    key: IdempotencyKey | None,
    how: Creation,
    until: float,
) -> Answer:
    try:
        job = await _wait_for(context, request.receive, job, how.is_enough, until)
    except ClientGone:
        await _store_answer(context, job, key, None)
        raise
    answer = how.answer(job)
    await _store_answer(context, job, key, answer)
    return answer


async def _store_answer(
    context: ApiContext, job: Job, key: IdempotencyKey | None, answer: Answer | None
) -> None:
    """Store the first answer with its key; None if the client disconnected.

    Errors are only logged: the job is stored, and replays are built from it once the key's hold
    has ended.
    """
    if key is None:
        return
    try:
        await context.services.store.idempotency.answered(job.id, answer)
    except Exception as error:  # noqa: BLE001 - the answer must not depend on it
        log.warning("could not store the answer of an idempotency key", job=job.id, why=str(error))


async def _wait_for(
    context: ApiContext, receive: Receive, job: Job, is_enough: Callable[[Job], bool], until: float
) -> Job:
    """Wait until `is_enough`, `until` (monotonic seconds) or shutdown, and return the job.

    The job is stored, so a failed read must not become an error response: the client would submit
    it again. The job is then returned as last seen.

    Raises:
        ClientGone: the client disconnected.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        with context.hub.subscribed(hub.of_job(job.id), hub.Queue.STOP) as subscription:
            gone.add_done_callback(lambda _: subscription.notify())
            while True:
                pause = float("inf")
                try:
                    job = await context.services.store.jobs.find(job.id) or job
                except Exception as error:  # noqa: BLE001 - the job is stored in any case
                    log.warning("a waiting request cannot read its job", job=job.id, why=str(error))
                    pause = READ_AGAIN_SECONDS
                left = until - context.services.clock.monotonic()
                if gone.done():
                    raise ClientGone
                if is_enough(job) or left <= 0 or context.stopping:
                    return job
                await subscription.wait(min(left, pause))
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
