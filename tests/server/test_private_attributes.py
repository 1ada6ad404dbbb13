"""What we use of uvicorn beyond its documents is listed and exists. With a version in which
something of it does not, the service is served by plain uvicorn."""

import ast
import asyncio
from collections.abc import Iterator
from inspect import getsource
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from receiver.server import connection, private, serve
from tests.crash.processes import Service, started
from tests.http_api.event_stream import event_stream
from tests.support.asgi_server import asgi_server

PUBLIC = {*dir(asyncio.Protocol), *dir(asyncio.Transport), "on_body", "on_headers_complete"}
"""Of asyncio's and httptools' documents."""


@pytest.fixture(autouse=True)
def _unseen() -> Iterator[None]:
    private.missing.cache_clear()
    yield
    private.missing.cache_clear()


def forget() -> None:
    del HttpToolsProtocol.send_400_response


def test_what_is_used_of_uvicorn_exists_and_is_listed() -> None:
    used = set()
    for module in (connection, serve):
        for node in ast.walk(ast.parse(getsource(module))):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.FunctionDef):
                used.add(node.name)
    theirs, listed = set[str](), set[str]()
    for kind, names in private.USED.items():
        theirs.update(private.attributes(kind))
        listed.update(names.split())
    assert theirs & used - PUBLIC == listed
    assert private.missing() == ()


async def test_an_application_is_served_without_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(HttpToolsProtocol, "send_400_response")
    with capture_logs() as lines:
        async with asgi_server(PlainTextResponse("served")) as url, httpx.AsyncClient() as client:
            assert (await client.get(url)).text == "served"
    assert [line["log_level"] for line in lines] == ["warning"]
    assert lines[0]["missing"].endswith(":HttpToolsProtocol.send_400_response")


def test_a_class_or_module_that_has_gone_lacks_everything() -> None:
    assert list(private.attributes("uvicorn.gone:Server")) == []
    assert list(private.attributes("uvicorn.server:Gone")) == []


async def test_a_service_without_it_ends_its_streams_at_sigterm(tmp_path: Path) -> None:
    service = Service(tmp_path, before=forget)
    async with started(service) as client, event_stream(client, "/v1/events") as stream:
        assert (await stream.events(1))[0].event == "snapshot"
        status, _ = await service.terminate()
        assert await stream.rest() == []
    assert status == 0
    assert "send_400_response" in service.log.read_text()
