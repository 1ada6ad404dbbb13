"""A service in front of the sandboxes of Replicate and fal, and its users."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.http_api.relay_sink import Sink, relay_sink
from tests.support.service import RunningService, running_service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service in front of both sandboxes, for all tests of this file."""
    async with running_service(
        tmp_path_factory.mktemp("clients"),
        provider="sandbox-replicate",
        providers="sandbox-fal",
        sandbox_render=0.3,
        poll_first=60,
        relay_allow_nets="127.0.0.0/8",
        relay_allow_http=True,
    ) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: RunningService, request: pytest.FixtureRequest) -> httpx.AsyncClient:
    """A user of that service, for this test alone."""
    return await service.user(request.node.name)


@pytest_asyncio.fixture(loop_scope="module")
async def sink() -> AsyncIterator[Sink]:
    async with relay_sink() as sink:
        yield sink
