"""Services that the tests of a file share, and a client with a user of the test's own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from receiver.client import AsyncClient
from tests.http_api.conftest import shared_service
from tests.support.service import RunningService, running_service

__all__ = ["client", "endless", "shared_service"]

OURS = {"X-Request-ID": "r1"}
"""Headers of every response of the service."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service whose jobs take longer than any test."""
    async with running_service(tmp_path_factory.mktemp("endless"), sandbox_render=1_000) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def client(
    shared_service: RunningService, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncClient]:
    key = await shared_service.key(request.node.name)
    async with AsyncClient(shared_service.url, key) as client:
        yield client


async def no_sleep(_seconds: float) -> None:
    """Returns at once."""
