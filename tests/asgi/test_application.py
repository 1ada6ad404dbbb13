"""The service as an application: where it is mounted, when it does not run, and what it says."""

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from receiver.asgi import lifespan
from receiver.telemetry import logs
from store.errors import StoreInUse
from tests.asgi.conftest import Make, mounted
from tests.http_api.event_stream import event_stream
from tests.support.service import JOB, submit


async def test_every_address_begins_with_the_path_of_the_mount(make: Make, tmp_path: Path) -> None:
    names = "sandbox-replicate,sandbox-fal"
    async with mounted(make, tmp_path, providers=names, sandbox_render="3600") as client:
        base = str(client.base_url).rstrip("/")
        answer = await client.post("/v1/jobs", json=JOB)
        job = answer.json()
        path = f"/jobs/v1/jobs/{job['request_id']}"
        assert answer.headers["location"] == path
        links = {"self": "", "events": "/events", "history": "/history", "cancel": "/cancel"}
        linked = {name: path + rest for name, rest in links.items()}
        assert job["links"] == linked
        assert (await client.get("/v1/jobs")).json()["jobs"][0]["links"] == linked

        other = (await submit(client))["request_id"]
        for status in (202, 409):
            answer = await client.post(f"/v1/jobs/{other}/cancel")
            cancelled = answer.json()
            assert answer.status_code == status
            assert cancelled.get("job", cancelled)["links"]["self"] == f"/jobs/v1/jobs/{other}"

        async with event_stream(client, "/v1/events") as stream:
            [snapshot] = await stream.events(1)
        assert snapshot.data["jobs"][0]["links"] == linked
        async with event_stream(client, f"/v1/jobs/{other}/events") as stream:
            assert (await stream.events(1))[0].data["links"]["self"] == f"/jobs/v1/jobs/{other}"
        async with event_stream(client, "/v1/events", snapshot.id) as stream:
            new = (await submit(client))["request_id"]
            created, changed = await stream.events(2)
        for update in (created, changed):
            assert update.data["links"]["self"] == f"/jobs/v1/jobs/{new}"

        ticket = (await client.post("/v1/stream-tickets")).json()["url"]
        assert ticket.startswith("/jobs/v1/events?ticket=")
        async with (
            httpx.AsyncClient(base_url=base.removesuffix("/jobs")) as outside,
            event_stream(outside, ticket) as stream,
        ):
            assert (await stream.events(1))[0].event == "snapshot"

        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/jobs"}]
        body = {"input": {"prompt": "x"}}
        made = await client.post("/replicate/v1/models/a/b/predictions", json=body)
        assert made.json()["urls"]["get"].startswith(f"{base}/replicate/v1/predictions/")
        made = await client.post("/fal/a/b", json={"prompt": "x"})
        assert made.json()["status_url"].startswith(f"{base}/fal/a/b/requests/")


async def test_unknown_paths_and_methods_are_ours(make: Make, tmp_path: Path) -> None:
    async with mounted(make, tmp_path) as client:
        for method, path, status in (("GET", "/nothing", 404), ("PUT", "/v1/jobs", 405)):
            answer = await client.request(method, path)
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.get("/")).headers["content-type"].startswith("text/html")
        samples = (await client.get("/metrics")).text
    assert 'receiver_http_requests_total{method="GET",route="none",status="404"} 1.0' in samples


async def test_another_path_than_that_of_public_url_is_warned_about_once(make: Make) -> None:
    app = make(public_url="https://a.example/work")
    transport = httpx.ASGITransport(app, root_path="/jobs")
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        with capture_logs() as lines:
            for path in ("/jobs/livez", "/jobs/livez", "/livez"):
                assert (await client.get(path)).status_code == 200
            assert (await client.get("/jobsx/livez")).status_code == 404
    warned = [line["root_path"] for line in lines if line["log_level"] == "warning"]
    assert warned == ["/jobs"]


async def test_requests_are_refused_in_words_before_its_lifespan_and_after(make: Make) -> None:
    app = make()
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a")
    async with client:
        for _ in range(2):
            answer = await client.get("/livez")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_running")
            async with lifespan(app):
                assert (await client.get("/livez")).status_code == 200


async def exchange(app: Any, scope_type: str, *messages: str) -> list[Any]:
    sent: list[Any] = []
    given = iter([{"type": f"{scope_type}.{each}"} for each in messages])

    async def receive() -> Any:
        return next(given)

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": scope_type, "path": "/", "headers": []}, receive, send)
    return sent


async def test_its_lifespan_is_that_of_asgi(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    app = make()
    for _ in range(2):
        sent = await exchange(app, "lifespan", "startup", "shutdown")
        assert [each["type"] for each in sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
    async with lifespan(app):
        sent = await exchange(make(), "lifespan", "startup")
        assert [each["type"] for each in sent] == ["lifespan.startup.failed"]
        assert "Another service runs on" in capsys.readouterr().err
        with pytest.raises(StoreInUse):
            await lifespan(make()).__aenter__()


async def test_websockets_are_refused(make: Make) -> None:
    assert await exchange(make(), "websocket", "connect") == [{"type": "websocket.close"}]


def test_all_faults_of_the_settings_are_said_at_once(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        make(poll_min="0", submit_wait="soon")
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["RECEIVER_SUBMIT_WAIT", "RECEIVER_POLL_MIN"]


def test_probable_mistakes_are_logged(make: Make) -> None:
    with capture_logs() as lines:
        make(pol_min="3")
    assert [line["event"] for line in lines] == [
        "RECEIVER_POL_MIN is not a setting; did you mean RECEIVER_POLL_MIN?",
        "PUBLIC_URL is not set",
    ]


async def test_a_stop_signal_ends_streams_and_then_does_what_the_server_wants(make: Make) -> None:
    seen = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, seen.set)
    before = signal.getsignal(signal.SIGTERM)
    app = make()
    async with lifespan(app):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(seen.wait(), 10)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            assert (await client.get("/readyz")).status_code == 503
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "arguments",
    [
        ("1.2.3.4", "POST", "/webhooks/samsar/abc?ticket=def", 200),
        {"method": "GET", "path": "/webhooks/samsar/abc?ticket=def", "status": 200},
    ],
)
def test_other_access_logs_show_no_secret(arguments: Any, make: Make) -> None:
    make()
    assert logging.getLogger("uvicorn.access").filters == [logs.redact_arguments]
    record = logging.LogRecord("a", logging.INFO, "a", 1, "%s", (arguments,), None)
    record.args = arguments
    assert logs.redact_arguments(record)
    shown = json.dumps(record.args, ensure_ascii=False)
    assert "abc" not in shown
    assert "/webhooks/samsar/…" in shown
    assert "200" in shown
