"""The providers' own clients, unchanged: the same calls get the same answers from the provider's
sandbox and from the service."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.expected import CALLS, FAILURES
from tests.clients.installs import CLIENTS, Client, Missing, command
from tests.clients.targets import Target, sandbox_alone

pytestmark = [pytest.mark.clients, pytest.mark.timeout(240)]  # the first run installs them

Opened = Callable[..., AbstractAsyncContextManager[Target]]
TARGETS = pytest.mark.parametrize("target", [sandbox_alone])


@pytest.fixture(params=CLIENTS, ids=[client.name for client in CLIENTS])
def client(request: pytest.FixtureRequest) -> Client:
    try:
        command(request.param)
    except Missing as missing:
        pytest.skip(str(missing))
    return request.param  # type: ignore[no-any-return]


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
