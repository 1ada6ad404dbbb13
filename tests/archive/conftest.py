"""An archiving service for all tests of a file, and fixtures from other folders."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.archive.archive_world import ArchiveWorld, archiving
from tests.engine.conftest import harness
from tests.http_api.conftest import quiet_log

__all__ = ["harness", "quiet_log"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ArchiveWorld]:
    async with archiving(tmp_path_factory.mktemp("archive")) as world:
        yield world
