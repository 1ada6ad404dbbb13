"""What all routes that create a job have in common: a repeated Idempotency-Key creates no second
job, and gets the first answer again."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from receiver.actions.submit_job import Submission, new_job, submit_job
from receiver.http_api.auth import Caller
from receiver.http_api.body import ClientGone, read_object
from receiver.http_api.context import ApiContext
from receiver.http_api.idempotency import read_key
from receiver.http_api.waiting import wait_for
from store.records import Answer, IdempotencyKey, Job, NewJob, Replay

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Creation:
    """How one route creates jobs."""

    read: Callable[[Mapping[str, Any]], Submission]
    """Reads the body. Raises Problem 400."""
    at_once: Callable[[NewJob], Answer] | None
    """The answer as soon as the job is stored; None waits for more."""
    wait: float
    """Seconds from the request's arrival that the answer may wait."""
    is_enough: Callable[[Job], bool]
    """Whether the job needs no more waiting."""
    answer: Callable[[Job], Answer]
    """The answer after the waiting."""
    answer_again: Callable[[Replay], Awaitable[Answer]]
    """The answer to a repeated request whose first answer was not stored."""


async def create_once(
    context: ApiContext, request: Request, caller: Caller, how: Creation
) -> Response:
    """Create the job in the request's body, unless its Idempotency-Key has done so before.

    Raises:
        Problem: the body or the key is refused.
        KeyReused, KeyHeld: by the store.
        ClientGone: the client disconnected while it waited.
    """
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
        at_once = how.at_once and how.at_once(new)
        made = await submit_job(services, new, key, at_once)
        if isinstance(made, Job):
            return _response(
                at_once or await _wait_for_answer(context, request, made, key, how, until)
            )
        replay = made
    answer = replay.answer or await how.answer_again(replay)
    return _response(answer, {"Idempotency-Replayed": "true"})


async def _wait_for_answer(
    context: ApiContext,
    request: Request,
    job: Job,
    key: IdempotencyKey | None,
    how: Creation,
    until: float,
) -> Answer:
    try:
        job = await wait_for(context, request.receive, job, how.is_enough, until)
    except ClientGone:
        await _keep(context, job, key, None)
        raise
    answer = how.answer(job)
    await _keep(context, job, key, answer)
    return answer


async def _keep(
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


def _response(answer: Answer, further: Mapping[str, str] | None = None) -> Response:
    return Response(answer.body, answer.status_code, {**answer.headers, **(further or {})})
