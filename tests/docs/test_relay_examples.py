"""The examples of docs/relay.md check a message that the service really sent."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service import PATIENCE, make_key, running_service, submit
from tests.webhooks.sinks import answering, sink

DOC = (Path(__file__).parents[2] / "docs" / "relay.md").read_text()
SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
OTHER = "whsec_" + "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhl"


def example(language: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)
    return str(code)


@dataclass
class Sent:
    """One request, as it came."""

    headers: dict[str, str]
    body: bytes

    def as_json(self, secret: str) -> str:
        return json.dumps({"headers": self.headers, "body": self.body.decode(), "secret": secret})


@pytest.fixture
async def sent(tmp_path: Path) -> AsyncIterator[Sent]:
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(sink(answering(b"HTTP/1.1 204 No Content\r\n\r\n")))
        service = await stack.enter_async_context(
            running_service(tmp_path, relay_allow_http=True, relay_allow_nets="127.0.0.1/32")
        )
        client = service.client(await make_key(service.store, "ada", secret=SECRET))
        await submit(client, webhookUrl=f"http://127.0.0.1:{hook.port}/")
        await asyncio.wait_for(hook.reached.wait(), PATIENCE)
        head, _, body = hook.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        yield Sent(dict(line.split(": ", 1) for line in lines), body)


async def _run(command: list[str], given: str, folder: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(given.encode())
    return process.returncode, out.decode()


async def _check(command: list[str], sent: Sent, folder: Path) -> None:
    status, out = await _run(command, sent.as_json(SECRET), folder)
    assert status == 0, out
    assert json.loads(out) == json.loads(sent.body)

    altered = Sent(sent.headers, sent.body.replace(b"create_movie", b"create_mouse"))
    old = Sent(sent.headers | {"webhook-timestamp": "1700000000"}, sent.body)
    for bad in (altered.as_json(SECRET), old.as_json(SECRET), sent.as_json(OTHER)):
        status, out = await _run(command, bad, folder)
        assert status, out


async def test_python(sent: Sent, tmp_path: Path) -> None:
    program = f"""
import json, sys

{example("python")}

given = json.load(sys.stdin)
print(json.dumps(receive(given["body"].encode(), given["headers"], given["secret"])))
"""
    (tmp_path / "program.py").write_text(program)
    await _check([sys.executable, "program.py"], sent, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_javascript(sent: Sent, tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("there is no npm here")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "standardwebhooks@1"]
    status, out = await _run(install, "", tmp_path)
    if status:
        pytest.skip(f"npm could not install: {out[-300:]}")
    program = f"""
import {{ readFileSync }} from "node:fs";
{example("javascript").replace("export function", "function")}
const given = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(receive(given.body, given.headers, given.secret)));
"""
    (tmp_path / "program.mjs").write_text(program)
    await _check([node, "program.mjs"], sent, tmp_path)
