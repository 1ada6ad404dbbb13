"""A service that keeps files, for all tests of a file, and fixtures of `tests/http_api`."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.archive.archived_job import settings
from tests.archive.file_host import FileHost, file_host
from tests.http_api.conftest import quiet_log
from tests.http_api.scripted_provider import ScriptedProvider, scripted_provider
from tests.support.service import RunningService, running_service
from tests.workers.conftest import harness

__all__ = ["harness", "quiet_log"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncIterator[FileHost]:
    async with file_host() as host:
        yield host


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    provider: ScriptedProvider, host: FileHost, folder: Path
) -> AsyncIterator[RunningService]:
    async with running_service(folder, **settings(provider, folder)) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: RunningService) -> httpx.AsyncClient:
    return await service.user()
