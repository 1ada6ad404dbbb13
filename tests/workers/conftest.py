"""Fixtures for workers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.workers.inbox import Inbox
from tests.http_api.conftest import quiet_log
from tests.http_api.scripted_provider import ScriptedProvider, scripted_provider
from tests.workers.harness import Claims, Harness, worker_harness

__all__ = ["claims", "harness", "inbox", "provider", "quiet_log"]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with worker_harness(tmp_path) as harness:
        yield harness


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as provider:
        yield provider


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def inbox(harness: Harness, claims: Claims) -> Inbox:
    return Inbox(harness.services, harness.hub, claims)
