"""Stores under test. A further backend is one more line in `BACKENDS`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from store.contract import Store
from store.open import open_store
from tests.store.world import World

OpenIn: TypeAlias = Callable[[Path], Awaitable[Store]]


async def sqlite(folder: Path) -> Store:
    return await open_store(f"sqlite:///{folder}/receiver.db", serving=True)


BACKENDS: dict[str, OpenIn] = {"sqlite": sqlite}


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await BACKENDS[request.param](tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def world(store: Store) -> World:
    """The store with two users in it."""
    return await World.begin(store)
