"""Every metric changes when what it measures happens."""

import asyncio
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from prometheus_client import CollectorRegistry

from receiver.engine import downloads
from receiver.engine.janitor import Janitor
from store.changes import CommitNotice
from store.errors import StoreUnavailable
from tests.archive.file_host import Answer, FileHost, file_host
from tests.http_api.event_stream import event_stream
from tests.http_api.scripted_provider import (
    ScriptedProvider,
    answering,
    call_back,
    refusing_status,
    scripted_provider,
)
from tests.support.service import (
    RunningService,
    eventually,
    metric,
    running_service,
    submit,
    wait_for_job,
    wait_for_metric,
)

NOWHERE = "http://127.0.0.1:9/hooks"


def moved(registry: CollectorRegistry) -> set[str]:
    """The metrics that are not zero."""
    return {
        family.name
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket")) and sample.value
    }


async def test_every_metric_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "UPKEEP_SECONDS", 0.1)
    prices = tmp_path / "prices.toml"
    prices.write_text(
        'currency = "USD"\n[[price]]\nprovider = "samsar"\nkind = "*"\nfixed = "0.1"\n'
    )
    async with (
        scripted_provider() as provider,
        file_host() as files,
        running_service(
            tmp_path,
            **provider.settings() | {"poll_first": 0.01, "poll_min": 0.05},
            confirm_callbacks=False,
            prices=str(prices),
            archive_url=f"file://{tmp_path}/archive",
            relay_allow_http=True,
            relay_allow_nets="127.0.0.0/8",
            relay_schedule="0,0.01,0.01,0.01,0.01,0.01,0.01,600",
        ) as service,
    ):
        registry = service.inner.context.services.metrics.registry
        seen = _watch(service, registry)
        await _requests(service)
        await _an_unconfirmed_submission(service, provider)
        await _a_finished_job(service, provider, files)
        await _a_refused_key(service, provider)
        await _a_worker_that_fails(service, monkeypatch)
        await _a_pause(service, provider)
        await Janitor(service.inner.context.services, 10**12).run_once()
        await _a_clock_that_is_set(service)

        service.inner.context.services.status_calls.note_wait("POLL_RATE", 6_000)

        seen |= moved(registry)
        assert seen >= {family.name for family in registry.collect()}


def _watch(service: RunningService, registry: CollectorRegistry) -> set[str]:
    """The metrics that were not zero after any commit: some are zero again a moment later."""
    seen: set[str] = set()
    notify = service.store.on_commit

    def look(changes: CommitNotice) -> None:
        seen.update(moved(registry))
        notify(changes)

    service.store.on_commit = look
    return seen


async def _requests(service: RunningService) -> None:
    assert (await service.client().get("/v1/jobs")).status_code == 400
    assert (await service.client().post("/webhooks/samsar/bad", json={})).status_code == 401
    await asyncio.gather(*(service.store.check_writable() for _ in range(600)))


async def _an_unconfirmed_submission(service: RunningService, provider: ScriptedProvider) -> None:
    client = await service.user()
    provider.submit = answering(500, {})
    request_id = (await submit(client))["request_id"]
    await wait_for_job(client, request_id, phase="submit_unconfirmed")
    provider.submit = None


async def _a_finished_job(
    service: RunningService, provider: ScriptedProvider, files: FileHost
) -> None:
    client = await service.user()
    # One file is kept, and the other stays pending.
    result = {
        "videoUrl": files.link("/a.mp4", Answer(b"a film")),
        "poster": files.link("/a.png", Answer(status=503)),
    }
    job = await submit(client, webhookUrl=NOWHERE, webhookEvents=["COMPLETED", "progress"])
    address = (await provider.submitted(2)).webhook_url
    async with event_stream(client, job["links"]["events"]) as stream:
        await stream.events(1)
        progress = 0
        while not await metric(service, "receiver_stream_lag_seconds_count"):
            # An event is read instead of pushed while the reader is behind.
            progress += 1
            await call_back(address, {"status": "IN_PROGRESS", "progress": progress})
            await stream.events(1)
        await call_back(address, {"status": "COMPLETED", "result": result})
        assert (await stream.rest())[-1].event == "done"

    await wait_for_metric(service, "receiver_archive_backlog", 1)
    await wait_for_metric(service, "receiver_relay_host_breakers_open", 1)


async def _a_refused_key(service: RunningService, provider: ScriptedProvider) -> None:
    provider.status = refusing_status(401)
    await submit(await service.user())
    calls = len(provider.status_calls)
    await provider.asked(calls + 1)


async def _a_worker_that_fails(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = AsyncMock(side_effect=StoreUnavailable("the disk is away"))
    failures = 'receiver_worker_failures_total{worker="status polls"}'
    with monkeypatch.context() as broken:
        broken.setattr(service.store.due, "lease", fails)
        service.inner.context.hub.notify_all()
        await eventually(lambda: metric(service, failures), bool, "a failure of the lane")


async def _a_pause(service: RunningService, provider: ScriptedProvider) -> None:
    provider.submit = answering(429, {}, **{"Retry-After": "60"})
    await submit(await service.user())
    paused = 'receiver_submissions_paused{provider="samsar"}'
    await eventually(lambda: metric(service, paused), bool, "submissions that pause")


async def _a_clock_that_is_set(service: RunningService) -> None:
    janitor = Janitor(service.inner.context.services, 10**12)
    await janitor.run_once()
    service.clock.ahead_ms = 24 * 3_600_000
    await janitor.run_once()
