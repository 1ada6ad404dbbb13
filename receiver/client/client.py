"""The client."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import quote

import httpx
from httpx_sse import EventSource

from receiver.client.errors import (
    ApiError,
    ClientError,
    Unreachable,
    api_error,
    read_object,
    shown,
)
from receiver.client.stream import FIRST_PAUSE, OnPause, Sleep, StreamEvent, follow
from receiver.domain.documents import Job
from receiver.http_api.documents import (
    Deliveries,
    Delivery,
    DeliveryDetail,
    History,
    JobDetail,
    Jobs,
    Retried,
    Spend,
)
from receiver.net.this_machine import is_this_machine

_SUBMIT_TRIES: Final = 3
T = TypeVar("T")

_STREAM_SILENCE: Final = 60.0
"""Seconds without a byte (not even a heartbeat) after which a stream's connection is dead."""


class AsyncClient:
    """Talks to one service with one key.

    Methods return the API's JSON documents as dicts, in which statuses and other words are plain
    strings, and raise `ClientError`s (see `errors`).
    """

    def __init__(
        self, url: str, api_key: str, *, timeout: float = 30.0, sleep: Sleep = asyncio.sleep
    ) -> None:
        """Does not connect yet.

        Args:
            timeout: seconds to connect, and seconds without data before a call fails.
            sleep: used to wait between attempts; tests pass one that does not wait.

        Raises:
            ValueError: the key is not valid in a header.
        """
        key = api_key.strip()  # it may end with the newline of a file
        if not re.fullmatch(r"[!-~]+", key):
            raise ValueError("an API key must be visible ASCII without spaces")
        self._sleep = sleep
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"API-KEY": key},
            timeout=timeout,
            # Each stream holds one, and no call may wait for it: the service limits streams.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            # A proxy from the environment cannot reach this machine's loopback addresses.
            trust_env=not is_this_machine(url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # --- jobs -------------------------------------------------------------------------------------

    async def submit(
        self,
        body: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
    ) -> Job:
        """Submit a job; it is on the service's disk when this returns.

        If it is not known whether the job was created, the call is made again with the same
        idempotency key, three times in all. If it is still not known then, the error has a note
        with the key: submit again with that key to get the job.

        Args:
            body: the body of `POST /v1/jobs`: `kind` and `input`, and optionally `provider`,
                `webhookUrl`, `webhookEvents` and `metadata`.
            idempotency_key: for a week, calls with the same key create only one job. A repeated one
                returns the first answer again, as the job was then, without waiting: `get()` or
                `wait()` have its state now. Without a key, each call creates at most one job, but
                you cannot repeat it: pass one to be safe across crashes of your own process, and if
                this call may be cancelled or run into a timeout of yours.
            wait: seconds, at most 60, to wait for the job to be done.
        """
        key = secrets.token_urlsafe(24) if idempotency_key is None else idempotency_key
        headers = {"Content-Type": b"application/json", "Idempotency-Key": key.encode()}
        if wait is not None:
            headers["Prefer"] = b"wait=%d" % wait
        # httpx would raise for NaN or a lone surrogate; the service refuses these in words.
        content = json.dumps(dict(body))
        # The answer may take `wait` seconds longer.
        timeout = httpx.Timeout(self._timeout, read=self._timeout + (wait or 0))
        tries, may_exist = 0, False
        while True:
            try:
                return await self._call(
                    Job, "POST", "/v1/jobs", content=content, headers=headers, timeout=timeout
                )
            except ClientError as error:
                tries, in_doubt = tries + 1, _may_have_created(error)
                may_exist = may_exist or in_doubt
                if tries == _SUBMIT_TRIES or not (in_doubt or isinstance(error, Unreachable)):
                    if may_exist:
                        again = f"submit it again with the idempotency key {key!r}"
                        error.add_note(f"The job may exist: {again}.")
                    raise
            # The idempotency key makes a retry safe.
            await self._sleep(FIRST_PAUSE)

    async def get(self, job_id: str) -> JobDetail:
        """The current state of a job, with its input."""
        return await self._call(JobDetail, "GET", _path("jobs", job_id))

    async def list(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        provider: str | None = None,
        q: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        user: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Jobs:
        """A page of jobs, newest first.

        With `q`, several filters, or long jobs, a page may be short although there is a
        `next_cursor`.

        Args:
            q: only jobs whose label contains this text.
            created_after: exclusive, as `created_before` is; a time without a zone is local.
            user: whose jobs, for admin keys; `*` means all users.
        """
        return await self._call(
            Jobs,
            "GET",
            "/v1/jobs",
            params=_given(
                status=status,
                kind=kind,
                provider=provider,
                q=q,
                created_after=created_after and created_after.astimezone().isoformat(),
                created_before=created_before and created_before.astimezone().isoformat(),
                user=user,
                limit=limit,
                cursor=cursor,
                **{f"metadata.{name}": value for name, value in (metadata or {}).items()},
            ),
        )

    async def history(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """Everything that happened to a job, oldest first: lines with `at`, `type`, and what this
        type has (see `/docs`)."""
        document = await self._call(History, "GET", _path("jobs", job_id) + "/history")
        return document["history"]

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job. A finished one raises `ApiError` with code `job_finished`."""
        return await self._call(Job, "POST", _path("jobs", job_id) + "/cancel")

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Wait until the job is done, even across restarts of the service, and return it.

        Each call holds one of the key's streams (`STREAM_MAX_PER_KEY`). For many jobs, use one
        `watch()` of all, and open it before you submit them.

        Raises:
            TimeoutError: it is not done after `timeout` seconds.
            ClientError: as `watch()`, also if the service restarts when this begins.
        """
        last: Job | None = None
        async with asyncio.timeout(timeout), aclosing(self.watch(job_id)) as events:
            async for event in events:
                last = event.jobs[-1] if event.jobs else last
        return last if last is not None and last["done"] else await self.get(job_id)

    # --- the stream -------------------------------------------------------------------------------

    def watch(
        self,
        job_id: str | None = None,
        *,
        cursor: str | None = None,
        user: str | None = None,
        on_pause: OnPause | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Follow one job until it is finished, or all jobs of the key's user forever.

        Broken connections are reopened, and every event is yielded exactly once and in order. A
        connection without a byte for 60 seconds counts as broken: `STREAM_HEARTBEAT` must be
        shorter. Cancelling a step, as `asyncio.wait_for(anext(…))` does, ends the stream: watch
        again with the last `cursor`.

        Args:
            cursor: resumes after an earlier event (`StreamEvent.cursor`); without one, the stream
                starts with a snapshot.
            user: whose jobs, for admin keys.
            on_pause: called with the reason for an interruption (None: the service ended the stream
                cleanly) and the seconds until it is resumed.

        Raises:
            Unreachable: the first connection failed; later ones are retried forever, even while a
                proxy answers in the service's place.
            ApiError: the service refused, and not just temporarily, or something else answered.
        """
        path = "/v1/events" if job_id is None else _path("jobs", job_id) + "/events"
        return follow(
            lambda at: self._stream(path, _given(user=user, last_event_id=at)),
            cursor,
            self._sleep,
            on_pause,
        )

    async def spend(self, *, by: str | None = None, user: str | None = None) -> Spend:
        """What jobs cost, in a row for each `by`: `day` (the default), `kind`, `provider` or
        `user`. `user` is for admin keys; `*` means all users."""
        return await self._call(Spend, "GET", "/v1/spend", params=_given(by=by, user=user))

    # --- webhooks ---------------------------------------------------------------------------------

    async def deliveries(
        self,
        *,
        state: str | None = None,
        request_id: str | None = None,
        host: str | None = None,
        failing: bool = False,
        user: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Deliveries:
        """A page of the user's webhook deliveries, newest first. `host` is a name or name:port;
        `failing` selects those that are pending after a failed attempt. `user` is for admin keys;
        `*` means all users."""
        query = _given(
            state=state,
            request_id=request_id,
            host=host,
            failing=failing or None,
            user=user,
            limit=limit,
            cursor=cursor,
        )
        return await self._call(Deliveries, "GET", "/v1/deliveries", params=query)

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery, with its message."""
        return await self._call(DeliveryDetail, "GET", _path("deliveries", delivery_id))

    async def retry(self, delivery_id: str) -> Delivery:
        """Retry a delivery at once."""
        return await self._call(Delivery, "POST", _path("deliveries", delivery_id) + "/retry")

    async def retry_all(
        self,
        state: str,
        *,
        host: str | None = None,
        request_id: str | None = None,
        user: str | None = None,
    ) -> int:
        """Retry all matching deliveries; returns how many."""
        document = await self._call(
            Retried,
            "POST",
            "/v1/deliveries/retry",
            params=_given(user=user),
            json=_given(state=state, host=host, request_id=request_id),
        )
        return document["retried"]

    # --- HTTP -------------------------------------------------------------------------------------

    async def _call(self, _document: type[T], method: str, path: str, **options: Any) -> T:
        """Make one call, with options of httpx; returns the document in its answer."""
        with _own_errors():
            response = await self._http.request(method, path, **options)
        document = read_object(response)
        if response.status_code >= 300 or document is None:
            raise api_error(response)
        return cast(T, document)

    @asynccontextmanager
    async def _stream(
        self, path: str, params: Mapping[str, str]
    ) -> AsyncIterator[EventSource | None]:
        """One connection of a stream; None if there are no more events (204)."""
        headers = {"Accept": "text/event-stream"}
        timeout = httpx.Timeout(self._timeout, read=_STREAM_SILENCE)
        with _own_errors():
            async with self._http.stream(
                "GET", path, params=params, headers=headers, timeout=timeout
            ) as response:
                if response.status_code == 204:
                    yield None
                    return
                is_stream = "text/event-stream" in response.headers.get("Content-Type", "")
                if response.status_code >= 300 or not is_stream:
                    await response.aread()
                    raise api_error(response)
                response.encoding = "utf-8"  # as event streams always are
                yield EventSource(response)


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raise the client's errors in the place of httpx's."""
    try:
        yield
    except httpx.HTTPError as error:
        reason = "timed out" if isinstance(error, httpx.TimeoutException) else str(error)
        url = shown(error.request.url)
        raise Unreachable(f"no answer from {url}: {reason or type(error).__name__}") from error


def _given(**members: Any) -> dict[str, Any]:
    """The members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _path(list_: str, id_: str) -> str:
    """The path of one in a list. Dots are quoted too: `..` would be another path."""
    return f"/v1/{list_}/" + quote(id_, safe="", errors="replace").replace(".", "%2E")


def _may_have_created(error: ClientError) -> bool:
    """Whether the job may have been created: the connection or a proxy lost the answer, our first
    request with the same Idempotency-Key is still running, or the service does not know whether its
    commit succeeded. Without a connection nothing was sent."""
    if isinstance(error, ApiError):
        lost = error.code == "http_error" and not 300 <= error.status < 500
        return lost or error.code in ("idempotency_key_in_use", "outcome_unknown")
    cause = error.__cause__
    return not isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
