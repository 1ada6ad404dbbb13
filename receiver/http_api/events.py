"""Event streams (contract 9): who may read, from where, and how a stream begins and ends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from receiver.domain.announcements import compact_json, job_document, timestamp
from receiver.http_api.auth import Caller, unauthorized
from receiver.http_api.body import ClientGone, parse_object, read_body
from receiver.http_api.errors import Fault, Problem, invalid, not_found
from receiver.http_api.parts import Parts
from receiver.http_api.queries import scope_of_list
from receiver.http_api.readable import readable_job
from receiver.http_connection import CONNECTION
from receiver.streams import frames
from receiver.streams.reader import Connection, Reader
from receiver.streams.tickets import BadTicket, Ticket
from store.records import Cursor, Job

RETRY_MS: Final = (2_000, 5_000)
SNAPSHOT_JOBS: Final = 1_000
NO_TICKET: Final = "The ticket is not one for this stream, has expired, or its key was revoked."
TICKET_MS: Final = 3_600_000
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Origin"),
]


# --- the two streams ------------------------------------------------------------------------------


async def follow_job(parts: Parts, scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /v1/jobs/{job_id}/events`: one job, until it is finished."""
    caller, ticket = await _reader_of(parts, scope)
    job_id = scope["path_params"]["job_id"]
    if ticket is not None and ticket.request_id not in (None, job_id):
        raise unauthorized(NO_TICKET)
    job = await readable_job(parts, caller, job_id)
    stream = _Stream(parts, scope, send, caller, job.user_id, job.id)

    cursor = _resume_from(scope)
    known = cursor is not None and await parts.core.store.events.knows_for_job(job, cursor)
    if known and cursor is not None and job.done and not parts.stopping:
        unseen = await parts.core.store.events.after_for_job(job.id, cursor.seq, 1)
        if not unseen:
            nothing = Response(status_code=204, headers={"Cache-Control": "no-cache"})
            await nothing(scope, receive, send)
            return

    async def snapshot() -> tuple[Cursor, bytes]:
        found = await parts.core.store.events.snapshot_for_job(job_id)
        if found is None:
            raise not_found()
        at, seen = found
        return at, frames.snapshot(at, job_document(seen))

    async def farewell() -> bytes | None:
        current = await parts.core.store.jobs.find(job_id)
        if current is None:
            return b""
        return frames.done(current) if current.done else None

    await stream.run(receive, cursor, known, snapshot, farewell)


async def follow_user(parts: Parts, scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /v1/events`: every job of one user, without an end."""
    caller, ticket = await _reader_of(parts, scope)
    if ticket is not None and ticket.request_id is not None:
        raise unauthorized(NO_TICKET)
    user_id = await scope_of_list(parts, Request(scope), caller)
    stream = _Stream(parts, scope, send, caller, user_id, None)
    cursor = _resume_from(scope)
    known = cursor is not None and await parts.core.store.events.knows(user_id, cursor)

    async def snapshot() -> tuple[Cursor, bytes]:
        at, jobs, truncated = await parts.core.store.events.snapshot_for_user(
            user_id, SNAPSHOT_JOBS
        )
        return at, frames.snapshot(at, _jobs_document(jobs, truncated))

    async def farewell() -> None:
        return None

    await stream.run(receive, cursor, known, snapshot, farewell)


def _jobs_document(jobs: list[Job], truncated: bool) -> dict[str, object]:
    document: dict[str, object] = {"jobs": [job_document(job) for job in jobs]}
    if truncated:
        document["truncated"] = True
    return document


class _Stream:
    """One response that is a stream."""

    __slots__ = ("_caller", "_connection", "_job_id", "_parts", "_send", "_user_id")

    def __init__(
        self,
        parts: Parts,
        scope: Scope,
        send: Send,
        caller: Caller,
        user_id: int,
        job_id: str | None,
    ) -> None:
        self._parts = parts
        self._connection: Connection | None = scope.get("extensions", {}).get(CONNECTION)
        self._send = send
        self._caller = caller
        self._user_id = user_id
        self._job_id = job_id

    async def write(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def run(
        self,
        receive: Receive,
        cursor: Cursor | None,
        known: bool,
        snapshot: Callable[[], Awaitable[tuple[Cursor, bytes]]],
        farewell: Callable[[], Awaitable[bytes | None]],
    ) -> None:
        """The whole response: head, where it begins, every later event, its end."""
        self._count()
        try:
            retry = frames.retry(self._parts.chance(*RETRY_MS))
            if self._parts.broadcast.closing:
                await self._begin(retry)
            elif cursor is not None and known:
                await self._begin(retry)
                await self._follow(receive, cursor.seq, farewell)
            else:
                at, frame = await snapshot()
                await self._begin(retry + (b"" if cursor is None else frames.RESET) + frame)
                del frame  # a thousand jobs, and the stream may last for days
                await self._follow(receive, at.seq, farewell)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._count_out()

    async def _begin(self, first: bytes) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await self.write(first)

    async def _follow(
        self, receive: Receive, position: int, farewell: Callable[[], Awaitable[bytes | None]]
    ) -> None:
        reader = Reader(
            self._send,
            self._connection,
            key_hash=self._caller.key_hash,
            user_id=self._user_id,
            job_id=self._job_id,
            position=position,
        )
        watching = None
        if self._connection is not None:
            self._connection.when_lost(reader.end)
        else:
            watching = asyncio.ensure_future(_until_gone(receive, reader))
        try:
            await self._parts.broadcast.follow(reader, farewell)
        except TimeoutError:
            # It has taken nothing for long: cut it off, it resumes where it was.
            raise ClientGone from None
        finally:
            if watching is not None:
                watching.cancel()

    def _count(self) -> None:
        """Raises Problem 429 where the key has as many streams open as it may."""
        streams, key = self._parts.open_streams, self._caller.key_hash
        most = self._parts.settings.stream_max_per_key
        if streams.get(key, 0) >= most:
            raise Problem(
                429,
                "too_many_streams",
                f"This key has {most} streams open. Close one, or read /v1/events instead.",
                headers={"Retry-After": "5"},
            )
        streams[key] = streams.get(key, 0) + 1

    def _count_out(self) -> None:
        streams, key = self._parts.open_streams, self._caller.key_hash
        streams[key] -= 1
        if not streams[key]:
            del streams[key]


async def _until_gone(receive: Receive, reader: Reader) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end()


# --- who reads, and from where --------------------------------------------------------------------


async def _reader_of(parts: Parts, scope: Scope) -> tuple[Caller, Ticket | None]:
    """The caller by header, or by `?ticket=`. Raises Problem 400 or 401."""
    given = _query(scope, "ticket")
    if given is None:
        caller = await parts.auth.caller(scope)
        parts.rate_limit.take(caller.key_hash)
        return caller, None
    try:
        ticket = parts.tickets.read(given, parts.core.clock.now())
    except BadTicket:
        parts.auth.refuse(scope, NO_TICKET)
    holder = await parts.auth.known(ticket.key_hash)
    if holder is None or holder.user_id != ticket.user_id:
        parts.auth.refuse(scope, NO_TICKET)
    parts.rate_limit.take(holder.key_hash)
    if ticket.request_id is None:
        holder = replace(holder, admin=False)  # an admin's, too, opens the user's own jobs
    return holder, ticket


def _resume_from(scope: Scope) -> Cursor | None:
    """Where the client was; one that is no cursor at all resumes from nowhere and gets a reset."""
    given = _query(scope, "last_event_id")
    for name, value in scope["headers"]:
        if name == b"last-event-id":
            given = value.decode("latin-1")
    if not given:
        return None
    return frames.read_cursor(given) or Cursor(-1, "")


def _query(scope: Scope, name: str) -> str | None:
    values = parse_qs(scope["query_string"].decode("latin-1")).get(name)
    return values[-1] if values else None


async def create_ticket(parts: Parts, request: Request, caller: Caller) -> Response:
    """`POST /v1/stream-tickets`: a link that a browser's EventSource can open for an hour."""
    raw = await read_body(request.scope, request.receive, parts.settings.max_body_bytes)
    job_id = (parse_object(raw) if raw else {}).get("request_id")
    path = "/v1/events"
    if job_id is not None:
        if not isinstance(job_id, str):
            raise invalid([Fault("/request_id", "request_id must be a string.")])
        await readable_job(parts, caller, job_id)
        path = f"/v1/jobs/{job_id}/events"
    expires_at = parts.core.clock.now() + TICKET_MS
    ticket = parts.tickets.issue(Ticket(caller.user_id, caller.key_hash, job_id, expires_at))
    document = {
        "ticket": ticket,
        "url": f"{path}?ticket={ticket}",
        "expires_at": timestamp(expires_at),
    }
    return Response(
        compact_json(document),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
