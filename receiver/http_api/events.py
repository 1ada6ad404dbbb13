"""The routes of event streams (Server-Sent Events), and the tickets for them."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from receiver.domain.schedule import HOUR
from receiver.domain.serialization import timestamp
from receiver.http_api import tickets
from receiver.http_api.auth import Caller
from receiver.http_api.body import parse_object
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import invalid, raise_for_faults
from receiver.http_api.event_stream import EventStream
from receiver.http_api.jobs import readable_job
from receiver.http_api.queries import selected_user
from receiver.http_api.responses import json_response
from receiver.http_api.validation import unknown_faults
from receiver.streams import frames
from store.records.events import Cursor

# --- the two streams ------------------------------------------------------------------------------


async def follow_job(context: ApiContext, request: Request, caller: Caller) -> ASGIApp:
    """Follow one job until it is done."""
    job = await readable_job(context, caller, request.path_params["job_id"])
    events = context.services.store.events
    resumed_at, is_reset = await _read_cursor(request, partial(events.can_resume_job, job))
    if (
        resumed_at is not None
        and job.done
        and not context.stopping
        and not await events.after_for_job(job.id, resumed_at.seq, 1)
    ):
        return Response(status_code=204, headers={"Cache-Control": "no-cache"})
    return EventStream(context, caller, job.user_id, job.id, resumed_at, is_reset)


async def follow_user(context: ApiContext, request: Request, caller: Caller) -> ASGIApp:
    """Follow all jobs of a user."""
    user_id = await selected_user(context, request, caller)
    can_resume = partial(context.services.store.events.can_resume, user_id)
    return EventStream(context, caller, user_id, None, *await _read_cursor(request, can_resume))


async def _read_cursor(
    request: Request, can_resume: Callable[[Cursor], Awaitable[bool]]
) -> tuple[Cursor | None, bool]:
    """The cursor to resume at, if the request has a valid one, and whether its cursor is no longer
    valid. `can_resume` says whether all events after a cursor can still be read."""
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    if not given:
        return None, False
    cursor = frames.read_cursor(given)
    if cursor is None or not await can_resume(cursor):
        return None, True
    return cursor, False


# --- tickets --------------------------------------------------------------------------------------


async def create_stream_ticket(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Create a link that a browser's EventSource can open for an hour."""
    body = await context.bodies.read(
        request, caller.key_hash, lambda raw: parse_object(raw) if raw else {}
    )
    # If a typo in the member's name, or a null id, were ignored, the ticket would be for all jobs.
    raise_for_faults(unknown_faults(body, ("request_id",)))
    job_id, path = None, "/v1/events"
    if body:
        job_id = body["request_id"]
        if not isinstance(job_id, str):
            raise invalid("/request_id", "request_id must be a string; omit it for all jobs.")
        await readable_job(context, caller, job_id)
        path = f"/v1/jobs/{job_id}/events"
    expires_at = context.services.clock.now() + HOUR
    ticket = tickets.issue(
        context.signer, tickets.Ticket(caller.user_id, caller.key_hash, job_id, expires_at)
    )
    return json_response(
        {
            "ticket": ticket,
            "url": f"{context.settings.root}{path}?ticket={ticket}",
            "expires_at": timestamp(expires_at),
        }
    )
