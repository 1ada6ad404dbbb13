"""schemathesis, with all of its checks, against a running service with data."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http_api.relay_sink import Sink, always, relay_sink
from tests.support.ports import free_port
from tests.support.service import (
    RunningService,
    eventually,
    listed,
    running_service,
    submit,
    wait_for_job,
)

CONFIG = Path(__file__).with_name("schemathesis.toml")
TO_CANCEL = 12
"""Jobs whose provider cannot be reached, so that they wait: each can be cancelled once."""
UNREACHED = {("GET", "/v1/events")}
"""This stream does not end."""


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[RunningService]:
    """A service with a working and an unreachable provider, and a short schedule of webhooks."""
    given: dict[str, Any] = {
        "providers": "sandbox,samsar",
        "samsar_api_key": "operator",
        "samsar_base_url": f"http://127.0.0.1:{free_port()}/",
        "relay_schedule": "0,0.1",
        "relay_allow_http": True,
        "relay_allow_nets": "127.0.0.0/8",
        "archive_url": f"file://{tmp_path / 'files'}",
    }
    async with running_service(tmp_path, **given) as service:
        yield service


@pytest.mark.attack
@pytest.mark.timeout(600)
async def test_it_finds_nothing_and_reaches_everything(
    full: RunningService, tmp_path: Path
) -> None:
    key = await full.key("root", admin=True)
    async with relay_sink() as sink:
        things = await _filled(full, full.client(key), sink)
    config = tmp_path / "schemathesis.toml"
    lines = (f"[dictionaries.{name}]\nvalues = {json.dumps(v)}\n" for name, v in things.items())
    config.write_text(CONFIG.read_text() + "\n".join(lines))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run"),
        *(f"{full.url}/openapi.json", "--header", f"API-KEY: {key}"),
        *("--max-examples", "30", "--seed", "1", "--request-timeout", "10", "--no-color"),
        *("--report", "har", "--report-har-path", tmp_path / "sent.har"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    report, _ = await process.communicate()
    print(report.decode())
    assert process.returncode == 0
    document = (await full.client().get("/openapi.json")).json()
    assert _unreached(document, json.loads((tmp_path / "sent.har").read_text())) == UNREACHED


async def _filled(
    service: RunningService, client: httpx.AsyncClient, sink: Sink
) -> dict[str, list[str]]:
    """Create one of everything that a service can have; returns the names that lead to them."""
    delivered = await _job(client, webhookUrl=sink.url)
    sink.answer = always(500)
    exhausted = [await _job(client, webhookUrl=sink.url) for _ in range(3)]
    waiting = [(await submit(client, provider="samsar"))["request_id"] for _ in range(TO_CANCEL)]
    await submit(await service.user("ada"))
    jobs = [delivered, *exhausted, *waiting]

    sent = await eventually(
        lambda: listed(client, "deliveries"),
        lambda seen: all(each["state"] != "pending" for each in seen),
    )
    tokens = service.inner.context.tokens
    lists = ("jobs", "deliveries", "users")
    pages = [(await client.get(f"/v1/{name}", params={"limit": 1})).json() for name in lists]
    return {
        "jobs": jobs,
        "done": [delivered, *exhausted],
        "deliveries": [each["id"] for each in sent],
        "providers": ["samsar", "sandbox"],
        "tokens": [tokens.sign("samsar", job_id) for job_id in waiting[:3]],
        "users": ["ada", "root", "*"],
        "waits": ["wait=1", "wait=0", "respond-async"],
        "cursors": [page["next_cursor"] for page in pages],
    }


async def _job(client: httpx.AsyncClient, **members: Any) -> str:
    """A finished job."""
    job_id = str((await submit(client, **members))["request_id"])
    await wait_for_job(client, job_id, done=True)
    return job_id


def _unreached(document: dict[str, Any], archive: dict[str, Any]) -> set[tuple[str, str]]:
    """The operations that never answered with success."""
    operations = {
        (method.upper(), path): re.compile(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(path)))
        for path, item in document["paths"].items()
        for method in item
    }
    for entry in archive["log"]["entries"]:
        path = httpx.URL(entry["request"]["url"]).path
        if 200 <= entry["response"]["status"] < 400:
            for method, template in [*operations]:
                if method == entry["request"]["method"] and operations[method, template].fullmatch(
                    path
                ):
                    operations.pop((method, template))
    return set(operations)
