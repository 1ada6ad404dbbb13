"""How a stored file is served: its headers, its ranges, its type."""

import hashlib
import os

import httpx
import pytest

from receiver.http_api import archived
from tests.archive.archive_world import ArchiveWorld
from tests.archive.file_host import Answer, file_of

FILE = file_of(300_000)
SHA256 = hashlib.sha256(FILE).hexdigest()

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_stored_file_says_what_it_is(world: ArchiveWorld) -> None:
    request_id = await world.create_stored(
        "/a", Answer(FILE, headers={"Content-Type": "video/mp4"})
    )
    path = f"/v1/jobs/{request_id}/result"
    answer = await world.client.get(path)
    assert answer.content == FILE
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["ETag"] == f'"{SHA256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["Content-Disposition"] == f'inline; filename="{request_id}-1.mp4"'

    head = await world.client.head(path, headers={"Range": "bytes=0-0"})
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(FILE)))
    assert head.content == b""
    known = await world.client.get(path, headers={"If-None-Match": f'W/"{SHA256}"'})
    assert (known.status_code, known.content) == (304, b"")
    assert (await world.client.get(path, params={"n": 1})).content == FILE
    other = await world.client.get(path, headers={"If-Range": '"x"', "Range": "bytes=1-2"})
    assert (other.status_code, other.content) == (200, FILE)


async def test_a_text_is_served_without_a_charset_that_its_host_did_not_give(
    world: ArchiveWorld,
) -> None:
    text = Answer(b"\xfc", headers={"Content-Type": "text/plain; charset=iso-8859-1"})
    answer = await world.result(await world.create_stored("/t", text))
    assert (answer.headers["Content-Type"], answer.content) == ("text/plain", b"\xfc")


async def test_ranges(world: ArchiveWorld) -> None:
    request_id = await world.create_stored("/r", Answer(FILE))

    async def part(wanted: str) -> httpx.Response:
        headers = {"Range": wanted, "If-Range": f'"{SHA256}"'}
        return await world.result(request_id, headers=headers)

    for wanted, start, end in (
        ("bytes=0-0", 0, 0),
        ("bytes=299999-", 299_999, 299_999),
        ("bytes=100-300000", 100, 299_999),
        ("bytes=-7", 299_993, 299_999),
        ("bytes=-400000", 0, 299_999),
    ):
        answer = await part(wanted)
        assert (answer.status_code, answer.content) == (206, FILE[start : end + 1]), wanted
        assert answer.headers["Content-Range"] == f"bytes {start}-{end}/{len(FILE)}"
    for wanted in ("bytes=300000-", "bytes=-0", "bytes=999999999999999-"):
        answer = await part(wanted)
        assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == f"bytes */{len(FILE)}"
    for wanted in ("bytes=5-4", "lines=1-2", "bytes=", "bytes=0-1,5-9", "bytes=x-", "bytes=-", ""):
        answer = await part(wanted)
        assert (answer.status_code, answer.content) == (200, FILE), wanted


async def test_a_disk_that_hangs_is_not_waited_for(
    world: ArchiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archived, "FIND_SECONDS", 0.05)
    request_id = await world.create_stored("/h", Answer(FILE))
    kept = world.kept / "ada" / request_id / "1.bin"
    kept.unlink()
    os.mkfifo(kept)
    answer = await world.result(request_id)
    assert answer.status_code == 302
    assert answer.headers["Location"].endswith("/h")
    with kept.open("r+b", buffering=0):  # the disk is back
        kept.unlink()
