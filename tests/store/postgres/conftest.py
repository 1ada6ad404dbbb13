"""The stores of two processes on one database, as PostgreSQL sees them."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from store.changes import CommitNotice
from store.open import open_store
from store.postgres.address import parse
from store.postgres.connection import connect
from store.postgres.database import PostgresStore
from tests.store.world import World


async def opened(url: str) -> PostgresStore:
    store = await open_store(url, serving=True)
    assert isinstance(store, PostgresStore)
    return store


@pytest.fixture
async def here(postgres_url: str) -> AsyncIterator[World]:
    """A store with two users."""
    store = await opened(postgres_url)
    yield await World.begin(store)
    await store.close()


@pytest.fixture
async def there(here: World, postgres_url: str) -> AsyncIterator[World]:
    """The same world, as another process sees it."""
    store = await opened(postgres_url)
    notified: list[CommitNotice] = []
    store.on_commit = notified.append
    yield World(store, here.ann, here.bob, here.ids, notified)
    await store.close()


@pytest.fixture
def other(postgres_url: str) -> Iterator[psycopg.Connection]:
    """The connection of a third process."""
    with connect(parse(postgres_url)) as connection:
        yield connection
