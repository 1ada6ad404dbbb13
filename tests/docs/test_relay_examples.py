"""The receivers in docs/relay.md accept a message that the service really sent."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.docs.pages import ROOT, blocks
from tests.http_api.relay_sink import Message, relay_sink
from tests.support.ports import free_port
from tests.support.programs import running
from tests.support.service import eventually, make_key, running_service, submit

DOC = (ROOT / "docs" / "relay.md").read_text()
SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


def example(language: str, mark: str) -> str:
    [code] = [code for code in blocks(DOC, language) if mark in code]
    return code


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Message]:
    """A message that the service sent, with the relevant headers."""
    async with (
        relay_sink() as sink,
        running_service(
            tmp_path_factory.mktemp("service"),
            relay_allow_http=True,
            relay_allow_nets="127.0.0.1/32",
        ) as service,
    ):
        client = service.client(await make_key(service.store, "ada", secret=SECRET))
        await submit(client, webhookUrl=sink.url)
        message = (await sink.arrived(1))[0]
        signed = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")
        yield replace(message, headers={name: message.headers[name] for name in signed})


Post = Callable[[Message], Awaitable[int]]


async def check(sent: Message, post: Post, printed: Callable[[], str]) -> None:
    """A good message is accepted; one whose bytes or timestamp differ is refused."""
    assert await post(sent) == 204
    message = json.loads(sent.body)
    assert f"{sent.headers['webhook-id']} {message['type']} {message['seq']}" in printed()
    again = json.dumps(message).encode()
    assert again != sent.body  # a common mistake: the same JSON, serialized again
    old = sent.headers | {"webhook-timestamp": "1700000000"}
    for bad in (replace(sent, body=again), replace(sent, headers=old)):
        assert await post(bad) == 400


def test_the_steps_without_a_library(sent: Message) -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{sent.headers['webhook-id']}.{sent.headers['webhook-timestamp']}.".encode()
    digest = hmac.digest(key, signed + sent.body, hashlib.sha256)
    assert f"v1,{base64.b64encode(digest).decode()}" in sent.headers["webhook-signature"].split()


async def test_fastapi(
    sent: Message, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    app = run_block(example("python", "FastAPI"))["app"]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hook") as client:

        async def post(message: Message) -> int:
            answer = await client.post(
                "/hooks/video", content=message.body, headers=message.headers
            )
            return answer.status_code

        await check(sent, post, lambda: capsys.readouterr().out)


async def test_flask(
    sent: Message, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    client = run_block(example("python", "Flask"))["app"].test_client()

    async def post(message: Message) -> int:
        answer = client.post("/hooks/video", data=message.body, headers=message.headers)
        return int(answer.status_code)

    await check(sent, post, lambda: capsys.readouterr().out)


def run_block(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "hook"}
    exec(compile(code, "docs/relay.md", "exec", dont_inherit=True), names)
    return names


@contextmanager
def express(folder: Path, port: int) -> Iterator[Path]:
    """Run the page's receiver at that port; yields its output."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed here")
    packages = ["express@5", "standardwebhooks@1"]
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm could not install: {done.stderr[-300:]}")
    (folder / "hook.mjs").write_text(example("javascript", "express"))
    environment = {"PATH": os.environ["PATH"], "SECRET": SECRET, "PORT": str(port)}
    log = folder / "log"
    with log.open("w") as out, running([node, "hook.mjs"], cwd=folder, env=environment, stdout=out):
        yield log


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_express(sent: Message, tmp_path: Path) -> None:
    port = free_port()
    with express(tmp_path, port) as log:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def post(message: Message) -> int:
                url = f"http://127.0.0.1:{port}/hooks/video"
                try:
                    answer = await client.post(url, content=message.body, headers=message.headers)
                except httpx.ConnectError:
                    return 0
                return answer.status_code

            await eventually(lambda: post(sent), lambda status: status == 204, "express")
            await check(sent, post, log.read_text)
