"""A service whose provider is a fast sandbox without faults."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http_api.conftest import quiet_log, shared_service
from tests.support.service import RunningService, running_service

__all__ = ["quiet_log", "service", "shared_service"]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    async with running_service(tmp_path) as service:
        yield service
