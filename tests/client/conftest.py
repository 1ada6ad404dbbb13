"""Services that the tests of a file share, and a client with a user of the test's own."""

import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from receiver.client import AsyncClient
from tests.support.service import RunningService, running_service

WEBHOOKS: dict[str, Any] = {
    "relay_allow_http": True,
    "relay_allow_nets": "127.0.0.0/8",
    "relay_schedule": "0",
}

OURS = {"X-Request-ID": "r1"}
"""Headers of every response of the service."""

SHARED_LOOP = pytest.mark.asyncio(loop_scope="module")
"""The event loop in which a file's services live."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service with quick jobs, shared by a file's tests, each with its own user."""
    async with running_service(tmp_path_factory.mktemp("service"), **WEBHOOKS) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service whose jobs take longer than any test."""
    async with running_service(tmp_path_factory.mktemp("endless"), sandbox_render=1_000) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def client(
    service: RunningService, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(service.url, await service.key(user_of(request))) as client:
        yield client


def user_of(request: pytest.FixtureRequest) -> str:
    """The test's own user."""
    return f"u{zlib.crc32(request.node.name.encode())}"


async def no_sleep(_seconds: float) -> None:
    """Returns at once."""
