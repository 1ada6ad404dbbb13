"""The receivers in docs/relay.md accept a message that the service really sent."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.docs.pages import ROOT, blocks
from tests.http_api.relay_sink import Message, relay_sink
from tests.support.service import make_key, running_service, submit

DOC = (ROOT / "docs" / "relay.md").read_text()
SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
HOOK = "http://hook/hooks/video"


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


async def post_asgi(app: Any, message: Message) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answer = await client.post(HOOK, content=message.body, headers=message.headers)
        return answer.status_code


async def post_wsgi(app: Any, message: Message) -> int:
    answer = app.test_client().post(HOOK, data=message.body, headers=message.headers)
    return int(answer.status_code)


@pytest.mark.parametrize(("name", "post"), [("FastAPI", post_asgi), ("Flask", post_wsgi)])
async def test_an_example(
    sent: Message,
    name: str,
    post: Callable[[Any, Message], Awaitable[int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A good message is accepted; one whose bytes or timestamp differ is refused."""
    monkeypatch.setenv("SECRET", SECRET)
    [code] = [code for code in blocks(DOC, "python") if name in code]
    names: dict[str, Any] = {"__name__": "hook"}
    exec(compile(code, "docs/relay.md", "exec", dont_inherit=True), names)
    message = json.loads(sent.body)
    again = json.dumps(message).encode()
    assert again != sent.body  # a common mistake: the same JSON, serialized again
    old = sent.headers | {"webhook-timestamp": "1700000000"}
    for each, status in (
        (sent, 204),
        (replace(sent, body=again), 400),
        (replace(sent, headers=old), 400),
    ):
        assert await post(names["app"], each) == status
    shown = f"{sent.headers['webhook-id']} {message['type']} {message['seq']}"
    assert shown in capsys.readouterr().out
