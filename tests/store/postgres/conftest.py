"""The stores of two processes on one database, as PostgreSQL sees them."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from store.changes import CommitNotice
from store.postgres.address import parse
from store.postgres.connection import connect
from tests.store.world import World, opened


@pytest.fixture
async def here(postgres_url: str) -> AsyncIterator[World]:
    """A store with two users."""
    async with opened(postgres_url) as store:
        yield await World.begin(store)


@pytest.fixture
async def there(here: World, postgres_url: str) -> AsyncIterator[World]:
    """The same world, as another process sees it."""
    async with opened(postgres_url) as store:
        notified: list[CommitNotice] = []
        store.on_commit = notified.append
        yield World(store, here.ann, here.bob, here.ids, notified)


@pytest.fixture
def other(postgres_url: str) -> Iterator[psycopg.Connection]:
    """The connection of a third process."""
    with connect(parse(postgres_url)) as connection:
        yield connection
