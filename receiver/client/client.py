"""The client itself. `receiver.client.blocking` has the same for code that does not await."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, SSEError
from pydantic import BaseModel, ValidationError

from receiver.client.documents import Deliveries, Delivery, History, HistoryLine, Job, Jobs
from receiver.client.errors import ApiError, ClientError, Unreachable, UnreadableAnswer, api_error
from receiver.client.watching import StreamEvent, Watching
from receiver.settings import is_this_machine

SUBMIT_TRIES = 3
SUBMIT_PAUSE = 1.0
STREAM_SILENCE = 60.0
"""Seconds without a byte, heartbeats included, after which a stream's connection is dead."""

D = TypeVar("D", bound=BaseModel)
Sleep = Callable[[float], Awaitable[None]]
OnPause = Callable[[ClientError | None, float], None]


class AsyncClient:
    """Speaks to one service with one key. Methods raise `ClientError`s (see `errors`)."""

    def __init__(
        self, url: str, api_key: str, *, timeout: float = 30.0, sleep: Sleep = asyncio.sleep
    ) -> None:
        """Take the service's address and a key; nothing is connected yet.

        Args:
            timeout: seconds to connect, and seconds of silence before an answer is given up.
            sleep: waits between attempts; tests give one that does not.
        """
        self._sleep = sleep
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"API-KEY": api_key},
            timeout=timeout,
            # The proxy that an environment names does not lead back to this machine.
            trust_env=not is_this_machine(url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # --- jobs -------------------------------------------------------------------------------------

    async def submit(
        self,
        kind: str,
        input: Mapping[str, Any],  # noqa: A002 - the API's own name of it
        *,
        provider: str | None = None,
        webhook_url: str | None = None,
        webhook_events: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        wait: int | None = None,
    ) -> Job:
        """Submit a job; it is on the service's disk when this returns.

        Args:
            kind: `create_movie` or `create_narrative`.
            idempotency_key: the same key makes the same job once, for a week; give one to be safe
                across your own crashes. Without, each call makes a job, once, whatever connections
                break on the way.
            wait: seconds, at most 60, to hold the answer until the job is done.
        """
        body = {
            "provider": provider,
            "kind": kind,
            "input": dict(input),
            "webhookUrl": webhook_url,
            "webhookEvents": None if webhook_events is None else list(webhook_events),
            "metadata": None if metadata is None else dict(metadata),
        }
        return await self.submit_body(
            {name: value for name, value in body.items() if value is not None},
            idempotency_key=idempotency_key,
            wait=wait,
        )

    async def submit_body(
        self,
        body: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
    ) -> Job:
        """As `submit`, for whoever has the body of `POST /v1/jobs` whole."""
        headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(24)}
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        # The service answers in time; what it answers with may be as late as `wait` asks for.
        timeout = httpx.Timeout(self._timeout, read=self._timeout + (wait or 0))
        for left in reversed(range(SUBMIT_TRIES)):
            try:
                response = await self._send(
                    "POST", "/v1/jobs", json=dict(body), headers=headers, timeout=timeout
                )
            except (Unreachable, ApiError) as error:
                # Whether a job was made is not known, and the key makes it safe to ask again.
                if not left or not (isinstance(error, Unreachable) or _in_use(error)):
                    raise
                await self._sleep(SUBMIT_PAUSE)
            else:
                return _read(Job, response)
        raise AssertionError("the last try returns or raises")

    async def get(self, job_id: str) -> Job:
        """A job as it stands."""
        return _read(Job, await self._send("GET", _job(job_id)))

    async def list(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        user: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Jobs:
        """A page of jobs, newest first; `user` is for admin keys, both times are exclusive."""
        query: dict[str, str | int | None] = {
            "status": status,
            "kind": kind,
            "created_after": None if created_after is None else created_after.isoformat(),
            "created_before": None if created_before is None else created_before.isoformat(),
            "user": user,
            "limit": limit,
            "cursor": cursor,
            **{f"metadata.{name}": value for name, value in (metadata or {}).items()},
        }
        return _read(Jobs, await self._send("GET", "/v1/jobs", params=_given(query)))

    async def history(self, job_id: str) -> Sequence[HistoryLine]:
        """Everything that happened to a job, oldest first."""
        return _read(History, await self._send("GET", f"{_job(job_id)}/history")).history

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job. A finished one raises `ApiError` with code `job_finished`."""
        return _read(Job, await self._send("POST", f"{_job(job_id)}/cancel"))

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Wait until the job is done, through restarts of the service, and return it.

        Raises:
            TimeoutError: it is not done after `timeout` seconds.
        """
        last: Job | None = None
        async with asyncio.timeout(timeout):
            async with aclosing(self.watch(job_id)) as events:
                async for event in events:
                    last = event.jobs[-1] if event.jobs else last
        return last if last is not None and last.done else await self.get(job_id)

    # --- the stream -------------------------------------------------------------------------------

    async def watch(
        self,
        job_id: str | None = None,
        *,
        cursor: str | None = None,
        user: str | None = None,
        on_pause: OnPause | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Follow one job until it is finished, or all jobs of the key's user without an end.

        A connection that breaks is made again, and every event comes exactly once and in order.

        Args:
            cursor: where an earlier `watch` was (`StreamEvent.cursor`); without, a snapshot begins.
            user: whose jobs, for admin keys.
            on_pause: told why the stream was interrupted (None: the service ended it cleanly), and
                after how many seconds it is resumed.

        Raises:
            Unreachable: the first connection fails; later ones are tried again for ever.
            ApiError: the service refuses, other than for the moment.
        """
        watching = Watching(job_id and quote(job_id, safe=""), cursor)
        connected = False
        while True:
            trouble: ClientError | None = None
            try:
                async with self._stream(watching, user) as source:
                    connected = True
                    if source is None:
                        return
                    async with aclosing(source.aiter_sse()) as stream:
                        async for sent in stream:
                            if (event := watching.take(sent)) is not None:
                                yield event
                            if watching.over:
                                return
            except (ApiError, Unreachable) as error:
                if not connected or not _passes(error):
                    raise
                trouble = error
            seconds = watching.pause(trouble)
            if on_pause is not None:
                on_pause(trouble, seconds)
            await self._sleep(seconds)

    @asynccontextmanager
    async def _stream(
        self, watching: Watching, user: str | None
    ) -> AsyncIterator[EventSource | None]:
        """One connection of a stream; None where everything has been seen (204)."""
        try:
            async with self._http.stream(
                "GET",
                watching.path,
                params=_given({"user": user}),
                headers={"Accept": "text/event-stream"} | watching.headers(),
                timeout=httpx.Timeout(self._timeout, read=STREAM_SILENCE),
            ) as response:
                if response.status_code >= 300:
                    await response.aread()
                    raise api_error(response)
                yield None if response.status_code == 204 else EventSource(response)
        except SSEError as error:
            # An HTTPError too, by its class, and none that would pass.
            raise UnreadableAnswer(f"{self._http.base_url} sends no event stream") from error
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error

    # --- webhooks ---------------------------------------------------------------------------------

    async def deliveries(
        self,
        *,
        state: str | None = None,
        user: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Deliveries:
        """A page of the webhooks that the service owes, or owed, the user; newest first."""
        query = {"state": state, "user": user, "limit": limit, "cursor": cursor}
        return _read(Deliveries, await self._send("GET", "/v1/deliveries", params=_given(query)))

    async def retry(self, delivery_id: str) -> Delivery:
        """Have a delivery sent again at once. A pending one raises `ApiError`, 409."""
        path = f"/v1/deliveries/{quote(delivery_id, safe='')}/retry"
        return _read(Delivery, await self._send("POST", path))

    async def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One call. Raises `ApiError` for an answer of 300 or more, and `Unreachable`."""
        try:
            response = await self._http.request(method, path, **given)
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error
        if response.status_code >= 300:
            raise api_error(response)
        return response


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _given(query: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in query.items() if value is not None}


def _read(kind: type[D], response: httpx.Response) -> D:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise UnreadableAnswer(
            f"{response.request.url.copy_with(query=None)} does not answer as the service does"
        ) from error


def _in_use(error: ApiError) -> bool:
    """Our own first request still waits for its answer (Idempotency-Key)."""
    return error.code == "idempotency_key_in_use"


def _passes(error: ClientError) -> bool:
    """Whether a stream's trouble is one of the moment."""
    return isinstance(error, Unreachable) or (
        isinstance(error, ApiError) and (error.status == 429 or error.status >= 500)
    )


def _unreachable(error: httpx.HTTPError, url: httpx.URL) -> Unreachable:
    reason = "it took too long" if isinstance(error, httpx.TimeoutException) else str(error)
    return Unreachable(f"no answer from {url}: {reason or type(error).__name__}")
