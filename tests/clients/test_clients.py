"""The providers' own clients, unchanged: the same calls get the same answers from the provider's
sandbox and from the service."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from receiver.providers.replicate.simulator import ReplicateApi
from tests.clients.expected import CALLS, FAILURES
from tests.clients.installs import CLIENTS, Client, Missing, environment, example
from tests.clients.targets import Target, sandbox_alone, service
from tests.docs.pages import ROOT, blocks

pytestmark = [pytest.mark.clients, pytest.mark.timeout(240)]  # the first run installs them

Opened = Callable[..., AbstractAsyncContextManager[Target]]
PAGE = (ROOT / "docs" / "clients.md").read_text()
IMAGE = "data:image/png;base64,iVBORw0KGgo="
REPLICATE = [
    pytest.param(client, id=client.name) for client in CLIENTS if client.api == "replicate"
]
TARGETS = pytest.mark.parametrize("target", [sandbox_alone, service])


@pytest.fixture(params=CLIENTS, ids=[client.name for client in CLIENTS])
def client(request: pytest.FixtureRequest) -> Client:
    chosen: Client = request.param
    try:
        environment(chosen)
    except Missing as missing:
        pytest.skip(str(missing))
    return chosen


def said(lines: list[dict[str, Any]], member: str) -> dict[str, Any]:
    """What the calls got or raised, by their names; a call that did the other shows its line."""
    return {line["call"]: line.get(member, line) for line in lines}


@TARGETS
async def test_every_call_gets_what_the_provider_answers(
    tmp_path: Path, client: Client, target: Opened
) -> None:
    async with target(client, tmp_path, render_seconds=0.3) as opened:
        assert said(await opened.run(), "got") == CALLS[client.script]


@TARGETS
async def test_a_failed_job_raises(tmp_path: Path, client: Client, target: Opened) -> None:
    expected = FAILURES[client.script]
    async with target(client, tmp_path, render_seconds=0.1, fail_jobs=1) as opened:
        assert said(await opened.run(*expected), "raised") == expected


async def test_an_order_whose_answers_are_lost_makes_one_job(
    tmp_path: Path, client: Client
) -> None:
    """With an Idempotency-Key, whether the client sends the order again or its caller does."""
    for call in client.orders:
        async with service(client, tmp_path / call, render_seconds=0.1) as opened:
            lost = iter([True, True])
            opened.front.loses = partial(next, lost, False)
            [line] = await opened.run(call, ORDERS="1", KEYS="1")
            assert line["got"]["jobs"] == await opened.charges() == 1
            assert len(opened.front.creations) == 3


@pytest.mark.parametrize("client", REPLICATE, indirect=True)
async def test_an_awaited_run_needs_no_polls(tmp_path: Path, client: Client) -> None:
    """The service holds an answer with `Prefer: wait` until the job is done."""
    async with service(client, tmp_path, render_seconds=0.3) as opened:
        await opened.run("generateImage" if client.script == "ai_sdk.mjs" else "run")
        assert opened.front.requests == ["POST /replicate/v1/models/owner/name/predictions"]


async def test_the_example_of_the_page(tmp_path: Path, client: Client) -> None:
    """Run twice, it makes one job: each client takes the key where the page puts it."""
    section = PAGE.partition(f"### {client.name}")[2]
    [code, *_] = blocks(section, "python" if client.is_python else "js")
    async with service(client, tmp_path, render_seconds=0.1) as opened:
        if isinstance(opened.provider, ReplicateApi):
            opened.provider.file = IMAGE  # the AI SDK downloads it
        host = opened.front.url.partition("://")[2]
        code = code.replace("https://receiver.example.com", opened.front.url)
        code = code.replace("receiver.example.com", host).replace("rk_…", opened.key)
        printed = [await opened.output(example(client, code)) for _ in range(2)]
        assert printed[0]
        assert await opened.charges() == 1
        assert len(opened.front.creations) == 2
