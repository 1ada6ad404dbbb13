"""Event streams (Server-Sent Events): their start, resuming and end, and the tickets for them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.domain.documents import AN_ID
from receiver.domain.serialization import job_document, timestamp
from receiver.http_api import documents, requests
from receiver.http_api.auth import Caller
from receiver.http_api.body import ClientGone, parse_object, read_body
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem, invalid, not_found
from receiver.http_api.jobs import readable_job
from receiver.http_api.operation import Group, Operation, Parameter, Text
from receiver.http_api.queries import USER, selected_user
from receiver.http_api.responses import NOT_STORED, json_response
from receiver.providers.contract import InputFault
from receiver.server.connection import CONNECTION
from receiver.streams import frames
from receiver.streams.reader import Connection, Reader
from receiver.streams.tickets import Ticket
from store.records.events import Cursor
from store.records.jobs import Job

RETRY_MS: Final = (2_000, 5_000)
SNAPSHOT_JOBS: Final = 1_000
TICKET_MS: Final = 3_600_000
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Origin"),
]
_RESUME: Final = (
    Parameter("Last-Event-ID", "The last `id` seen: every later event follows.", location="header"),
    Parameter("last_event_id", "The same, for clients that cannot set a header."),
)
_STREAM: Final = Text(
    "text/event-stream",
    f'retry: 2817\nevent: update\nid: 12.9f3c\ndata: {{"request_id":"{AN_ID}", …}}\n\n',
)


# --- the two streams ------------------------------------------------------------------------------


@Operation(Group.STREAMS, _STREAM, _RESUME)
async def follow_job(context: ApiContext, request: Request, caller: Caller) -> ASGIApp:
    """Follow one job until it is done.

    Responses:
        200: `snapshot`, then an `update` for each event with the job as it was then; `reset` if the
            cursor is no longer valid; `done` at the end.
        204: The client has seen all events. This stops an EventSource.
    """
    job_id = request.path_params["job_id"]
    job = await readable_job(context, caller, job_id)
    events = context.services.store.events
    cursor = _cursor(request)
    known = cursor if cursor and await events.knows_for_job(job, cursor) else None
    if (
        known is not None
        and job.done
        and not context.stopping
        and not await events.after_for_job(job.id, known.seq, 1)
    ):
        return Response(status_code=204, headers={"Cache-Control": "no-cache"})

    async def snapshot() -> tuple[Cursor, bytes]:
        found = await events.snapshot_for_job(job_id)
        if found is None:
            raise not_found()
        at, seen = found
        return at, frames.snapshot(at, job_document(seen))

    async def farewell() -> bytes | None:
        current = await context.services.store.jobs.find(job_id)
        if current is None:
            return b""
        return frames.done(current) if current.done else None

    return _Stream(context, caller, job.user_id, job_id, cursor, known, snapshot, farewell)


@Operation(Group.STREAMS, _STREAM, (*_RESUME, USER))
async def follow_user(context: ApiContext, request: Request, caller: Caller) -> ASGIApp:
    """Follow all jobs of a user.

    Responses:
        200: `snapshot`, then an `update` for each event with the job as it was then; `reset` if the
            cursor is no longer valid.
    """
    user_id = await selected_user(context, request, caller)
    events = context.services.store.events
    cursor = _cursor(request)
    known = cursor if cursor and await events.knows(user_id, cursor) else None

    async def snapshot() -> tuple[Cursor, bytes]:
        at, jobs, truncated = await events.snapshot_for_user(user_id, SNAPSHOT_JOBS)
        return at, frames.snapshot(at, _jobs_document(jobs, truncated))

    async def farewell() -> None:
        return None

    return _Stream(context, caller, user_id, None, cursor, known, snapshot, farewell)


def _jobs_document(jobs: list[Job], truncated: bool) -> dict[str, object]:
    document: dict[str, object] = {"jobs": [job_document(job) for job in jobs]}
    if truncated:
        document["truncated"] = True
    return document


@dataclass(slots=True)
class _Stream:
    """A streaming response."""

    context: ApiContext
    caller: Caller
    user_id: int
    job_id: str | None
    cursor: Cursor | None
    """The client's; None if it does not resume."""
    known: Cursor | None
    """The client's cursor if the store knows it; None starts the stream with a snapshot."""
    snapshot: Callable[[], Awaitable[tuple[Cursor, bytes]]]
    farewell: Callable[[], Awaitable[bytes | None]]
    """Returns the last bytes of a stream that is over; None while it goes on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole response: head, snapshot if needed, every later event, end."""
        self._count()
        try:
            retry = frames.retry(self.context.randint(*RETRY_MS))
            if self.context.broadcast.closing:
                await _begin(send, retry)
            elif self.known is not None:
                await _begin(send, retry)
                await self._follow(scope, receive, send, self.known.seq)
            else:
                at, frame = await self.snapshot()
                await _begin(send, retry + (b"" if self.cursor is None else frames.RESET) + frame)
                del frame  # it can be large, and the stream may last for days
                await self._follow(scope, receive, send, at.seq)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._count_out()

    async def _follow(self, scope: Scope, receive: Receive, send: Send, after_seq: int) -> None:
        connection: Connection | None = scope.get("extensions", {}).get(CONNECTION)
        reader = Reader(
            send,
            connection,
            key_hash=self.caller.key_hash,
            user_id=self.user_id,
            job_id=self.job_id,
            after_seq=after_seq,
        )
        watching = None
        if connection is not None:
            connection.when_lost(reader.end)
        else:
            watching = asyncio.ensure_future(_until_gone(receive, reader))
        try:
            await self.context.broadcast.follow(reader, self.farewell)
        except TimeoutError:
            # The client has not read for too long: disconnect it, so that it resumes.
            raise ClientGone from None
        finally:
            if watching is not None:
                watching.cancel()

    def _count(self) -> None:
        """Raises Problem 429 if the key has reached its limit of open streams."""
        streams, key = self.context.open_streams, self.caller.key_hash
        most = self.context.settings.stream_max_per_key
        if streams.get(key, 0) >= most:
            raise Problem(
                429,
                "too_many_streams",
                f"This key has {most} streams open. Close one, or read /v1/events instead.",
                headers={"Retry-After": "5"},
            )
        streams[key] = streams.get(key, 0) + 1

    def _count_out(self) -> None:
        streams, key = self.context.open_streams, self.caller.key_hash
        streams[key] -= 1
        if not streams[key]:
            del streams[key]


async def _begin(send: Send, first: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": first, "more_body": True})


async def _until_gone(receive: Receive, reader: Reader) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end()


def _cursor(request: Request) -> Cursor | None:
    """The client's cursor; None without one. A malformed one becomes one that the store does not
    know, so that the client gets a reset."""
    given = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    return (frames.read_cursor(given) or Cursor(-1, "")) if given else None


@Operation(Group.STREAMS, documents.Ticket, body=requests.TicketRequest, body_required=False)
async def create_stream_ticket(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Create a link that a browser's EventSource can open for an hour.

    Responses:
        200: Keep it secret, like a key.
        404: There is no such job, or it belongs to another user.
    """
    raw = await read_body(request.scope, request.receive, context.settings.max_body_bytes)
    job_id = (parse_object(raw) if raw else {}).get("request_id")
    path = "/v1/events"
    if job_id is not None:
        if not isinstance(job_id, str):
            raise invalid([InputFault("/request_id", "request_id must be a string.")])
        await readable_job(context, caller, job_id)
        path = f"/v1/jobs/{job_id}/events"
    expires_at = context.services.clock.now() + TICKET_MS
    ticket = context.tickets.issue(Ticket(caller.user_id, caller.key_hash, job_id, expires_at))
    document: documents.Ticket = {
        "ticket": ticket,
        "url": f"{path}?ticket={ticket}",
        "expires_at": timestamp(expires_at),
    }
    return json_response(document, headers=NOT_STORED)
