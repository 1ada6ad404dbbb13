"""Fixtures for workers."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from receiver.workers.inbox import Inbox
from tests.workers.harness import Claims, Harness, worker_harness


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with worker_harness(tmp_path) as harness:
        yield harness


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """A failing test shows warnings, and not a line for each finished job."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def inbox(harness: Harness, claims: Claims) -> Inbox:
    return Inbox(harness.services, harness.hub, claims)
