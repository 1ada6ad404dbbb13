"""The provider's callbacks. A hot route: plain ASGI, and one write to the store each."""

from collections.abc import Callable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from receiver.engine.accept_callback import Challenged
from receiver.http_api.body import read_body
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem
from receiver.http_api.responses import json_response
from receiver.large_bodies import MAX_VALUES
from receiver.upstream.contract import BadSignature, Headers
from store.callbacks import Receipt
from store.errors import NotFound

log = structlog.get_logger()

_ACCEPTED: Final = json_response({"status": Receipt.ACCEPTED})
_ANSWERS: Final = {
    Receipt.ACCEPTED: _ACCEPTED,
    Receipt.FAILED: _ACCEPTED,  # it is stored, and its job is polled
    Receipt.DUPLICATE: json_response({"status": Receipt.DUPLICATE}),
}


async def callback(
    context: ApiContext, job_id: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """The provider reports a job's status.

    It is stored and applied before the answer.
    """
    services = context.services
    began = services.clock.monotonic()
    provider = scope["path_params"]["provider"]
    try:
        with context.large_bodies.room(job_id) as grow_to:
            request = Request(scope, receive)
            body, verified = await _read_verified(context, request, provider, job_id, grow_to)
            receipt = await context.callbacks.accept(
                provider, job_id, body, scope["headers"], verified=verified
            )
    except Challenged as challenge:
        services.metrics.count_callback(provider, "challenge")
        await json_response(challenge.answer)(scope, receive, send)
        return
    except NotFound:
        services.metrics.count_callback(provider, "gone")
        log.info("callback for a removed job", job=job_id)
        raise Problem(
            410, "job_gone", "The job has been removed.", members={"request_id": job_id}
        ) from None
    services.metrics.count_callback(provider, receipt, verified=verified)
    if receipt is Receipt.REJECTED:
        text = f"The body must be a JSON object of at most {MAX_VALUES:,} values."
        raise Problem(400, "invalid_json", text)
    if receipt is Receipt.CONFLICT:
        raise Problem(409, "id_conflict", "The body and this URL name different jobs.")
    reply = services.providers[provider].reply
    answer = _ANSWERS[receipt] if reply is None else PlainTextResponse(reply)
    await answer(scope, receive, send)
    services.metrics.callback_acknowledgement_seconds.observe(services.clock.monotonic() - began)


def _headers(scope: Scope) -> Headers:
    path, query = scope["raw_path"], scope["query_string"]
    target = b"%b?%b" % (path, query) if query else path
    return [(b":method", scope["method"].encode()), (b":path", target), *scope["headers"]]


async def _read_verified(
    context: ApiContext,
    request: Request,
    provider: str,
    job_id: str,
    grow_to: Callable[[int], bool],
) -> tuple[bytes, bool]:
    """The body, and whether the provider's signature was verified. Raises `NotFound`, `Problem`."""
    services = context.services
    try:
        verify = services.providers[provider].verifier(_headers(request.scope))
        body = await read_body(request, context.settings.max_body_bytes, grow_to)
        return body, verify is not None and await verify(body)
    except (BadSignature, Problem) as error:
        if isinstance(error, Problem) and error.status == 503:
            raise  # for want of memory: the many of a flood do not ask the store, either
        error.with_traceback(None)  # its frames would keep the body in memory meanwhile
        if not await services.store.callbacks.exists(provider, job_id):
            raise NotFound(job_id) from None
        if isinstance(error, Problem):
            problem = error
            # The callback could not be read, so the provider is polled instead.
            await services.store.jobs.make_poll_due(job_id, services.clock.now())
        else:
            text = "The provider's signature is missing or wrong."
            problem = Problem(401, "bad_signature", text)
        services.metrics.count_callback(provider, problem.code)
        raise problem from None
