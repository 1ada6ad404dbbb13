"""Shutdown: waiting requests are answered, and nothing is lost."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from receiver.engine.submissions import Submissions
from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.event_stream import event_stream
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.http_api.scripted_provider import ScriptedProvider, never
from tests.support.service import (
    MOVIE,
    RunningService,
    job_of,
    running_service,
    submit,
    wait_for_job,
)


async def test_a_drop_in_submission_is_answered_at_once(
    tmp_path: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Submissions, "drain_seconds", 0.1)
    provider.submit = never
    async with running_service(tmp_path, **provider.settings(), submit_wait=60) as service:
        client = await service.user()
        waiting = asyncio.create_task(client.post("/v1/video/create_movie", json={"input": MOVIE}))
        await provider.submitted()
        service.inner.begin_stop()
        async with asyncio.timeout(10):
            answer = await waiting
        assert answer.status_code == 200
        assert answer.json()["request_id"].startswith("job_")


async def test_a_submission_in_flight_gets_its_time(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    release = provider.hold_submissions()
    async with running_service(tmp_path, **provider.settings()) as service:
        key = await service.key()
        first = (await submit(service.client(key)))["request_id"]
        await provider.submitted()
        service.inner.begin_stop()
        late = (await submit(service.client(key)))["request_id"]  # accepted, but not started
        release.set()
    assert len(provider.submissions) == 1
    async with running_service(tmp_path, **provider.settings()) as service:
        client = service.client(key)
        assert (await job_of(client, first))["provider_request_id"] == "up-1"
        await wait_for_job(client, late, provider_request_id="up-2")


async def test_streams_end_cleanly_at_shutdown(
    service: RunningService, client: httpx.AsyncClient, job: AcceptedJob
) -> None:
    async with (
        event_stream(client, "/v1/events") as all_jobs,
        event_stream(client, f"{job.path}/events") as one_job,
        raw_connection(service.url) as open_before,
    ):
        await all_jobs.events(1)
        await one_job.events(1)
        assert (await open_before.ask(request_bytes("GET", "/livez"))).status_code == 200
        began = time.monotonic()
        service.inner.begin_stop()
        assert await all_jobs.rest() == []
        assert await one_job.rest() == []  # and no `done`, so the client reconnects
        assert time.monotonic() - began < 5
        # Requested on an open connection: an EventSource would give up at a 5xx.
        async with event_stream(client, f"{job.path}/events") as late:
            (retry,) = await late.rest()
            assert retry.raw.startswith(b"retry: ")
        async with event_stream(client, "/v1/events", "1.x") as late:
            assert len(await late.rest()) == 1
