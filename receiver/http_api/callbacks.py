"""The provider's callbacks (contract 7). The hot route: written close to ASGI, one write each."""

from typing import Final

import structlog
from starlette.types import Receive, Scope, Send

from receiver.actions.accept_callback import accept_callback
from receiver.http_api.body import read_body
from receiver.http_api.errors import Problem
from receiver.http_api.parts import Parts
from receiver.webhooks.tokens import BadToken
from store.contract import Receipt
from store.errors import NotFound

log = structlog.get_logger()

_HEADERS: Final = [(b"content-type", b"application/json")]
_BODIES: Final = {
    Receipt.ACCEPTED: b'{"status":"accepted"}',
    Receipt.DUPLICATE: b'{"status":"duplicate"}',
}


async def receive_callback(parts: Parts, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /webhooks/{provider}/{token}`: on disk before the answer, applied after it."""
    core = parts.core
    began = core.clock.monotonic()
    provider, token = scope["path_params"]["provider"], scope["path_params"]["token"]
    try:
        if provider not in core.providers:
            raise BadToken
        job_id = parts.tokens.verify(provider, token)
    except BadToken:
        core.metrics.count_callback("unknown", "unauthorized")
        raise Problem(401, "bad_token", "This is no callback address of ours.") from None
    try:
        try:
            body = await read_body(scope, receive, parts.settings.max_body_bytes)
        except Problem as problem:
            await _poll_instead(parts, provider, job_id)
            core.metrics.count_callback(provider, problem.code)
            raise
        receipt = await accept_callback(core, provider, job_id, body, scope["headers"])
    except NotFound:
        core.metrics.count_callback(provider, "gone")
        log.info("callback of a job that is not kept", job=job_id)
        raise Problem(
            410, "job_gone", "The job is not kept any more.", members={"request_id": job_id}
        ) from None
    core.metrics.count_callback(provider, receipt)
    if receipt is Receipt.REJECTED:
        raise Problem(400, "invalid_json", "The body must be a JSON object.")
    if receipt is Receipt.CONFLICT:
        raise Problem(409, "id_conflict", "The body names another job than this address.")
    content = _BODIES[receipt]
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": content})
    core.metrics.callback_seconds.observe(core.clock.monotonic() - began)


async def _poll_instead(parts: Parts, provider: str, job_id: str) -> None:
    """Ask the provider at once, where what it sent cannot be taken. Raises `NotFound`."""
    if not await parts.core.store.callbacks.exists(provider, job_id):
        raise NotFound(job_id) from None
    await parts.core.store.jobs.poll_at_once(job_id, parts.core.clock.now())
