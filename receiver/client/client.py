"""The client."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import httpx

from receiver.client.errors import ApiError, ClientError, Unreachable
from receiver.client.transport import Transport
from receiver.client.watching import OnPause, Sleep, StreamEvent, follow
from receiver.domain.documents import Job
from receiver.http_api.documents import (
    Deliveries,
    Delivery,
    DeliveryDetail,
    History,
    HistoryLine,
    JobDetail,
    Jobs,
    Retried,
    WebhookTest,
)

SUBMIT_TRIES = 3
SUBMIT_PAUSE = 1.0
WEBHOOK_TEST_SECONDS = 300.0


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
            ValueError: the URL or the key is not valid.
            ClientError: a proxy or the certificates in the environment cannot be used.
        """
        self._sleep = sleep
        self._timeout = timeout
        self._transport = Transport(url, api_key, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

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
        # httpx would raise for NaN, a lone surrogate, or a key that is not ASCII; the service
        # refuses these, and an empty key, with an error message.
        content = json.dumps(dict(body))
        key = secrets.token_urlsafe(24) if idempotency_key is None else idempotency_key
        if not key.isprintable() or key != key.strip():
            raise ValueError(
                "an idempotency key has no control characters, and no space at its ends"
            )
        headers = {"Content-Type": b"application/json", "Idempotency-Key": key.encode()}
        if wait is not None:
            headers["Prefer"] = b"wait=%d" % wait
        # The answer may take `wait` seconds longer.
        timeout = httpx.Timeout(self._timeout, read=self._timeout + (wait or 0))
        tries, may_exist = 1, False
        while True:
            try:
                job: Job = await self._transport.call(
                    "POST", "/v1/jobs", "phase", content=content, headers=headers, timeout=timeout
                )
                return job
            except ClientError as error:
                in_doubt = _may_have_created(error)
                may_exist = may_exist or in_doubt
                if tries == SUBMIT_TRIES or not (in_doubt or isinstance(error, Unreachable)):
                    if may_exist:
                        error.add_note(
                            f"The job may exist: submit it again with the idempotency key {key!r}."
                        )
                    raise
            # The idempotency key makes a retry safe.
            tries += 1
            await self._sleep(SUBMIT_PAUSE)

    async def get(self, job_id: str) -> JobDetail:
        """The current state of a job, with its input."""
        job: JobDetail = await self._transport.call("GET", _job(job_id), "phase")
        return job

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
        query = _given(
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
        )
        page: Jobs = await self._transport.call("GET", "/v1/jobs", "jobs", params=query)
        return page

    async def history(self, job_id: str) -> "Sequence[HistoryLine]":
        """Everything that happened to a job, oldest first."""
        document: History = await self._transport.call("GET", f"{_job(job_id)}/history", "history")
        return document["history"]

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job. A finished one raises `ApiError` with code `job_finished`."""
        job: Job = await self._transport.call("POST", f"{_job(job_id)}/cancel", "phase")
        return job

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
            ApiError: the service refused, and not just temporarily.
            UnreadableAnswer: the first answer did not come from the service, or the stream cannot
                be read.
        """
        path = "/v1/events" if job_id is None else f"{_job(job_id)}/events"
        return follow(
            lambda at: self._transport.stream(path, _given(user=user, last_event_id=at)),
            cursor,
            self._sleep,
            on_pause,
        )

    # --- webhooks ---------------------------------------------------------------------------------

    async def deliveries(
        self,
        *,
        state: str | None = None,
        request_id: str | None = None,
        host: str | None = None,
        user: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Deliveries:
        """A page of the user's webhook deliveries, newest first. `host` is a name or name:port.
        `user` is for admin keys; `*` means all users."""
        query = _given(
            state=state, request_id=request_id, host=host, user=user, limit=limit, cursor=cursor
        )
        page: Deliveries = await self._transport.call(
            "GET", "/v1/deliveries", "deliveries", params=query
        )
        return page

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery, with its message."""
        delivery: DeliveryDetail = await self._transport.call(
            "GET", _delivery(delivery_id), "attempts"
        )
        return delivery

    async def retry_all(
        self,
        state: str,
        *,
        host: str | None = None,
        request_id: str | None = None,
        user: str | None = None,
    ) -> int:
        """Retry all matching deliveries; returns how many. `state` is exhausted or disabled."""
        document: Retried = await self._transport.call(
            "POST",
            "/v1/deliveries/retry",
            "retried",
            params=_given(user=user),
            json=_given(state=state, host=host, request_id=request_id),
        )
        return document["retried"]

    async def retry(self, delivery_id: str) -> Delivery:
        """Retry a delivery at once. A pending one raises `ApiError` with status 409."""
        delivery: Delivery = await self._transport.call(
            "POST", f"{_delivery(delivery_id)}/retry", "attempts"
        )
        return delivery

    async def test_webhook(self, url: str) -> WebhookTest:
        """Have the service send a signed test message to `url`; returns the answer. A URL that is
        refused raises `ApiError` with status 400."""
        # The service waits for the endpoint for up to RELAY_TIMEOUT.
        timeout = httpx.Timeout(self._timeout, read=WEBHOOK_TEST_SECONDS)
        outcome: WebhookTest = await self._transport.call(
            "POST", "/v1/webhook-tests", "webhook_id", json={"url": url}, timeout=timeout
        )
        return outcome


def _given(**members: Any) -> dict[str, Any]:
    """The members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _job(job_id: str) -> str:
    return f"/v1/jobs/{_segment(job_id)}"


def _delivery(delivery_id: str) -> str:
    return f"/v1/deliveries/{_segment(delivery_id)}"


def _segment(text: str) -> str:
    """One segment of a path. A dot is quoted too: `..` would be another path."""
    return quote(text, safe="", errors="replace").replace(".", "%2E")


def _may_have_created(error: ClientError) -> bool:
    """Whether the job may have been created: the connection or a proxy lost the answer, our first
    request with the same Idempotency-Key is still running, or the service does not know whether its
    commit succeeded. Without a connection nothing was sent."""
    if isinstance(error, ApiError):
        lost = error.code == "http_error" and error.status >= 500
        return lost or error.code in ("idempotency_key_in_use", "outcome_unknown")
    return not isinstance(
        error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
    )
