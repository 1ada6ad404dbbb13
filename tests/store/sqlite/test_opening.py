"""Opening a store, and how that can fail."""

import fcntl
import os
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from store.errors import StoreCorrupt, StoreInUse, StoreLocked, StoreUnavailable
from store.open import open_store
from store.sqlite import connection
from store.sqlite.connection import SCHEMA, connect_writer, prepare
from tests.store.sqlite.conftest import address
from tests.store.world import opened


async def test_files_and_their_folder_are_private(tmp_path: Path) -> None:
    database = tmp_path / "data" / "deep" / "receiver.db"
    names = ["receiver.db", "receiver.db-shm", "receiver.db-wal", "receiver.db.lock"]
    before = os.umask(0)
    try:
        for _ in range(2):
            async with opened(address(database)) as store:
                await store.check_writable()
                modes = {file.name: file.stat().st_mode for file in database.parent.iterdir()}
            assert modes == dict.fromkeys(names, stat.S_IFREG | 0o600)
            database.chmod(0o644)
    finally:
        os.umask(before)


async def test_an_address_is_relative_or_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///data/a.db", f"sqlite:///{tmp_path}/data/b?#%20.db"):
        await (await open_store(url)).close()

    assert {file.name for file in (tmp_path / "data").iterdir()} == {"a.db", "b?#%20.db"}


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///", "data.db", ""])
async def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///"):
        await open_store(url)


async def test_one_service_at_a_time_whatever_the_path(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)

    async with opened(address(path)):
        for url in (
            address(path),
            address(tmp_path / "link"),
            address(tmp_path / "folder" / "receiver.db"),
            address(tmp_path / "x" / ".." / "receiver.db"),
            "sqlite:///receiver.db",
        ):
            with pytest.raises(StoreInUse):
                await open_store(url, serving=True)

        beside = await open_store("sqlite:///link")
        await beside.check_writable()
        await beside.close()
    await (await open_store(address(path), serving=True)).close()


@pytest.mark.skipif(sys.platform != "linux", reason="the database itself is locked on Linux alone")
@pytest.mark.parametrize("change", ["renamed", "its lock file removed"])
async def test_one_service_at_a_time_whatever_becomes_of_the_names(
    path: Path, tmp_path: Path, change: str
) -> None:
    async with opened(address(path)):
        if change == "renamed":
            path = path.rename(tmp_path / "renamed.db")
        else:
            (tmp_path / "receiver.db.lock").unlink()
        with pytest.raises(StoreInUse):
            await open_store(address(path), serving=True)

    await (await open_store(address(path), serving=True)).close()


async def test_a_hard_link_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "hard").hardlink_to(path)

    with pytest.raises(StoreInUse, match="hard link"):
        await open_store(address(path), serving=True)


async def test_a_failed_opening_releases_the_lock(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorrupt):
        await open_store(address(path), serving=True)
    path.write_bytes(content)

    await (await open_store(address(path), serving=True)).close()


async def test_a_file_that_is_not_ours_is_left_unchanged(tmp_path: Path) -> None:
    letter, shop = tmp_path / "letter.txt", tmp_path / "shop.db"
    letter.write_bytes(b"Dear all, " * 1000)
    with closing(sqlite3.connect(shop)) as database:
        database.execute("CREATE TABLE orders (id INTEGER)")

    for file, words in ((letter, "not a database"), (shop, "another application")):
        content = file.read_bytes()
        with pytest.raises(StoreCorrupt, match=words):
            await open_store(address(file))
        assert file.read_bytes() == content


async def test_what_is_no_regular_file_in_a_folder_is_reported(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o644)
    (tmp_path / "file").touch()
    for place, words in (
        (pipe, "pipe is not a regular file"),
        (tmp_path / "file" / "receiver.db", "file"),
        (tmp_path, f"{tmp_path} is not a regular file"),
    ):
        with pytest.raises(StoreUnavailable, match=words):
            await open_store(address(place), serving=place.name == "receiver.db")
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o644, "it is left as it is"


def test_a_database_locked_by_another_process_is_reported(
    path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = replace(SCHEMA, upgrades=(*SCHEMA.upgrades, "CREATE TABLE more (n int);"))
    monkeypatch.setattr(connection, "SCHEMA", newer)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreLocked):
        prepare(path)


def test_a_database_that_another_process_creates_for_long_is_reported(
    tmp_path: Path, short_busy_timeout: None
) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(StoreLocked, match="another process has locked"):
        prepare(tmp_path / "receiver.db")
    os.close(folder)
    prepare(tmp_path / "receiver.db")


def test_a_database_can_be_created_several_times_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for number in range(20):  # a race, which a single round seldom shows
            list(pool.map(prepare, [tmp_path / f"{number}.db"] * 4))


async def test_commits_are_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(address(path)) as store:
        assert (await store.durability()).crash_safe

    def connect_without_sync(path: Path) -> sqlite3.Connection:
        connection = connect_writer(path)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    monkeypatch.setattr("store.sqlite.database.connect_writer", connect_without_sync)
    async with opened(address(path)) as store:
        found = await store.durability()
    assert not found.crash_safe
    assert "synchronous 1" in found.detail
