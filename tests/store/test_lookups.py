"""Lookups within one event-loop iteration share a statement."""

import asyncio
from collections.abc import Sequence

import pytest

from store.errors import StoreUnavailable
from store.lookups import Lookups
from store.session import Bound, Row
from store.sql import MAX_ROWS


class Rows:
    """`Readers` for a table in memory. It records which keys were read together."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.asked: list[list[object]] = []
        self.failure: Exception | None = None
        self._rows = rows

    async def fetch(self, sql: str, parameters: Bound) -> list[Row]:
        keys = list(parameters)
        self.asked.append(keys)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return [row for row in self._rows if row[0] in keys]

    async def close(self) -> None: ...


ROWS = [(f"key {number}", number) for number in range(200)]


@pytest.fixture
def rows() -> Rows:
    return Rows(ROWS)


@pytest.fixture
def lookups(rows: Rows) -> Lookups:
    return Lookups(rows, "SELECT * FROM letters WHERE id IN (VALUES (:key))")


async def test_lookups_of_one_iteration_share_a_statement(rows: Rows, lookups: Lookups) -> None:
    found = await asyncio.gather(*(lookups.find(f"key {n}") for n in (7, 3, 999, 3)))

    assert found == [ROWS[7], ROWS[3], None, ROWS[3]]
    assert rows.asked == [["key 7", "key 3", "key 999", "key 3"]]


async def test_the_next_iteration_asks_again(rows: Rows, lookups: Lookups) -> None:
    assert await lookups.find("key 1") == ROWS[1]
    assert await lookups.find("key 1") == ROWS[1]

    assert rows.asked == [["key 1"], ["key 1"]]


async def test_a_statement_has_a_limit(rows: Rows, lookups: Lookups) -> None:
    found = await asyncio.gather(*(lookups.find(f"key {n}") for n in range(MAX_ROWS + 1)))

    assert found == ROWS[: MAX_ROWS + 1]
    assert [len(keys) for keys in rows.asked] == [MAX_ROWS, 1]


async def test_a_failure_reaches_all_callers_and_passes(rows: Rows, lookups: Lookups) -> None:
    rows.failure = StoreUnavailable("the disk is gone")
    errors = await asyncio.gather(
        *(lookups.find(f"key {n}") for n in (1, 2)), return_exceptions=True
    )
    rows.failure = None

    assert [str(error) for error in errors] == ["the disk is gone"] * 2
    assert await lookups.find("key 1") == ROWS[1]


async def test_a_cancelled_caller_does_not_disturb_others(lookups: Lookups) -> None:
    cancelled, waiting = (asyncio.ensure_future(lookups.find(f"key {n}")) for n in (1, 2))
    await asyncio.sleep(0)
    cancelled.cancel()

    assert await waiting == ROWS[2]
    assert cancelled.cancelled()
