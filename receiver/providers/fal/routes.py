"""fal's own queue API, served by us: its clients change only the address and the key."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.engine.new_job import JobRequest
from receiver.engine.waiting import ahead
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import KEY, KEY_WITHOUT_RATE_LIMIT, Operation
from receiver.http_api.errors import Problem
from receiver.http_api.event_stream import HEADERS, counted
from receiver.http_api.responses import JSON, NO_STORE
from receiver.providers import clients
from receiver.providers.clients import ClientApi, ClientCreation
from receiver.providers.fal import shape as fal
from receiver.streams.hub import STOP
from receiver.upstream.shapes import Body, encode, view_of
from store.idempotency import StoredResponse
from store.records.jobs import Job, Phase

API: Final = ClientApi("fal", "/fal/", fal.output_of)

_ENDS: Final = ("COMPLETED", "FAILED", "CANCELLED")


async def submit(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Submit a request to an endpoint."""
    return await _RequestCreation(context, request, caller, None, API).respond()


@dataclass
class _RequestCreation(ClientCreation):
    """Answers at once with the request's addresses. The body is the input."""

    empty = b"{}"

    def input_in(self, body: Mapping[str, Any]) -> Any:
        return body

    def read(self, body: Mapping[str, Any]) -> JobRequest:
        kind = self.request.path_params["endpoint"]
        url = self.request.query_params.get("fal_webhook")
        given = self.job_request(("endpoint", kind), body, ("fal_webhook", url), _ENDS)
        return replace(given, priority="batch" if self._is_low() else "normal")

    def _is_low(self) -> bool:
        return self.request.headers.get("x-fal-queue-priority", "").lower() == "low"

    async def response(self, job: Job, document: bytes | None = None) -> StoredResponse:
        position = await _ahead(self.context, job, batch=self._is_low())
        body = fal.accepted(view_of(job), API.base_url(self.context, self.request), position)
        return StoredResponse(200, {"Content-Type": JSON, **_of(job)}, encode(body))


async def status(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Where a request stands."""
    job = await _find(context, request, caller)
    status_code, body = await _status(context, request, job)
    return Response(encode(body), status_code, {**NO_STORE, **_of(job)}, JSON)


async def stream(context: ApiContext, request: Request, caller: Caller) -> ASGIApp:
    """Where a request stands, as Server-Sent Events at each change until it is done."""
    job = await _find(context, request, caller)
    headers = {name.decode(): value.decode() for name, value in HEADERS} | _of(job)
    if request.method == "HEAD":  # otherwise it would last as long as the job
        return Response(headers=headers)
    events = StreamingResponse(_events(context, request, caller, job), headers=headers)

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        with counted(context, caller):
            await events(scope, receive, send)

    return counting


async def response(context: ApiContext, request: Request, caller: Caller) -> Response:
    """The result of a request, or why there is none."""
    job = await _find(context, request, caller)
    status_code, content = fal.response(await API.view(context, caller, job))
    return Response(content, status_code, {**NO_STORE, **_of(job)}, JSON)


async def cancel(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Cancel a request."""
    job = await _find(context, request, caller)
    cancelled = await clients.cancel(context, caller, job)
    if cancelled is None:
        job = await _find(context, request, caller)
    status_code, body = fal.cancellation(view_of(job))
    return Response(encode(body), status_code, {**NO_STORE, **_of(job)}, JSON)


async def _find(context: ApiContext, request: Request, caller: Caller) -> Job:
    try:
        job = await context.services.store.jobs.find(request.path_params["id"])
        return API.own_job(caller, job)
    except Problem as problem:
        # The client looks for this word where a problem has the number.
        raise Problem(
            problem.status, problem.code, problem.detail, members={"status": "NOT_FOUND"}
        ) from None


def _of(job: Job) -> dict[str, str]:
    return {"x-fal-request-id": job.id}


async def _status(context: ApiContext, request: Request, job: Job) -> tuple[int, Body]:
    position = await _ahead(context, job)
    return fal.status(view_of(job), API.base_url(context, request), position)


async def _ahead(context: ApiContext, job: Job, *, batch: bool = False) -> int:
    """`batch` is the priority of a job that is not stored yet."""
    if job.phase is not Phase.QUEUED:
        return 0
    return await ahead(context.services, job, batch=batch)


async def _events(
    context: ApiContext, request: Request, caller: Caller, job: Job
) -> AsyncIterator[bytes]:
    shown = None
    with context.hub.subscribed(job.id, STOP) as subscription:
        while True:
            _, body = await _status(context, request, job)
            if body != shown:
                yield b"data: %b\n\n" % encode(body)
                shown = body
            if job.done or context.stopping:
                return
            if not await subscription.wait(context.settings.stream_heartbeat):
                if await context.auth.caller_of_key(caller.key_hash) is None:
                    return
                yield b":\n"
            job = await _find(context, request, caller)


_REQUEST: Final = "/fal/{endpoint:path}/requests/{id}"
_ROUTES: Final[tuple[Operation[Any], ...]] = (
    Operation("GET", f"{_REQUEST}/status", KEY_WITHOUT_RATE_LIMIT, status),
    Operation("GET", f"{_REQUEST}/status/stream", KEY, stream),
    Operation("PUT", f"{_REQUEST}/cancel", KEY, cancel),
    Operation("GET", _REQUEST, KEY, response),
    Operation("POST", "/fal/{endpoint:path}", KEY, submit),
)
# Its npm client reads the body of an error of no other type.
ROUTES: Final = tuple(replace(row, problem_type=JSON) for row in _ROUTES)
