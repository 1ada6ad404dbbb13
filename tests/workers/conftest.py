"""Workers that are given their time."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.workers.surroundings import Surroundings, surroundings


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    async with surroundings(tmp_path) as around:
        yield around


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """A failure is shown with the warnings, and not with each job that has finished."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()
