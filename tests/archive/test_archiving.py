"""Archiving results, from the outcome of a job to the file that is served."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from receiver.archive.folder import PARTIAL, FolderArchive
from receiver.engine import downloads
from tests.archive.archive_world import ArchiveWorld, archiving
from tests.archive.file_host import Answer, file_of
from tests.archive.test_folder import pieces
from tests.http_api.accepted_job import create_accepted_job
from tests.http_api.scripted_provider import refusing_status
from tests.providers.faulty_server import faulty_server, stall_after
from tests.support.service import eventually, history_of, job_of, metric

FILE = file_of(300_000)
SHA256 = hashlib.sha256(FILE).hexdigest()
COUNTED = (
    "receiver_archive_stored_bytes_total",
    'receiver_jobs_finished_total{evidence="callback",status="COMPLETED"}',
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_file_is_stored_and_served_to_its_user_until_somebody_removes_it(
    world: ArchiveWorld,
) -> None:
    link = world.host.link("/a.mp4", Answer(FILE, headers={"Content-Type": "video/mp4"}))
    before = [await metric(world.service, name) for name in COUNTED]
    request_id = await world.complete({"videoUrl": link})
    job = await world.wait_until_settled(request_id)
    counted = [await metric(world.service, name) for name in COUNTED]
    assert [now - then for now, then in zip(counted, before, strict=True)] == [len(FILE), 1]
    assert job["archive"] == [
        {
            "link": link,
            "state": "stored",
            "bytes": len(FILE),
            "content_type": "video/mp4",
            "sha256": SHA256,
            "error": None,
        }
    ]
    kept = world.kept / "ada" / request_id / "1.mp4"
    assert kept.read_bytes() == FILE
    del world.host.answers["/a.mp4"]  # the provider's link dies

    path = f"/v1/jobs/{request_id}/result"
    assert (await world.client.get(path)).content == FILE
    assert (await (await world.service.user("bob")).get(path)).status_code == 404
    losses: list[Callable[[], None]] = [lambda: os.truncate(kept, 400), kept.unlink, kept.mkdir]
    for lose in losses:
        lose()
        answer = await world.client.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (302, link)


async def test_what_a_job_says_of_its_file_is_true_if_two_replicas_have_downloaded_it(
    world: ArchiveWorld,
) -> None:
    """Of two replicas, one has stopped for longer than its lease, and the link gives other bytes
    each time. The second attempt may end before or after the first is reported."""
    other = file_of(len(FILE), seed=1)
    replica = FolderArchive(world.kept)
    link = world.host.link("/changing.mp4", Answer(FILE))
    job = await create_accepted_job(world.client, world.provider)
    key = f"ada/{job.request_id}/1.mp4"

    await replica.put(key, "video/mp4", pieces(other))
    await job.send({"status": "COMPLETED", "result": {"videoUrl": link}})
    (file,) = (await world.wait_until_settled(job.request_id))["archive"]
    assert file["state"] == "stored"
    await replica.put(key, "video/mp4", pieces(file_of(len(FILE), seed=2)))

    answer = await world.result(job.request_id)
    assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
    assert answer.content == other
    await replica.close()


async def test_files_beyond_what_a_user_may_have_are_not_kept(tmp_path: Path) -> None:
    async with archiving(tmp_path, archive_user_bytes=len(FILE)) as world:
        await world.create_stored("/1", Answer(FILE))
        request_id = await world.complete({"videoUrl": world.host.link("/2", Answer(FILE))})
        (file,) = (await world.wait_until_settled(request_id))["archive"]
        assert (file["state"], file["error"].split(":")[0]) == ("failed", "user_limit")
        assert (await world.service.store.retention.remove(2**60, 10)).jobs == 2
        await world.create_stored("/3", Answer(FILE))


async def test_every_link_of_a_result_is_archived_the_main_one_first(world: ArchiveWorld) -> None:
    first, main = (world.host.link(name, Answer(name.encode())) for name in ("/first", "/main"))
    request_id = await world.complete({"first": first, "videoUrl": main, "again": main})
    job = await world.wait_until_settled(request_id)
    assert [(file["link"], file["state"]) for file in job["archive"]] == [
        (main, "stored"),
        (first, "stored"),
    ]
    for n, name in ((1, "/main"), (2, "/first")):
        assert (await world.result(request_id, params={"n": n})).text == name
    for wrong, status in (("3", 404), ("0", 400), ("x", 400), ("", 400), ("99999", 400)):
        assert (await world.result(request_id, params={"n": wrong})).status_code == status, wrong


async def test_every_link_of_a_long_result_that_nobody_confirmed_is_archived(
    tmp_path: Path,
) -> None:
    confirming = {"confirm_callbacks": True, "confirm_timeout": 0.1, "poll_min": 0.1}
    async with archiving(tmp_path, **confirming) as world:
        world.provider.status = refusing_status(500)
        links = [world.host.link(name, Answer(FILE)) for name in ("/shown", "/beyond")]
        result = {"videoUrl": links[0], "log": "x" * 70_000, "last": links[1]}
        request_id = await world.complete(result)
        job = await eventually(
            lambda: job_of(world.client, request_id),
            lambda job: [file["state"] for file in job["archive"]] == ["stored"] * 2,
        )
    assert [file["link"] for file in job["archive"]] == links


async def test_a_failed_download_is_reported_and_the_link_returned(world: ArchiveWorld) -> None:
    large = world.host.link("/large", Answer(file_of(1_000_001)))
    later = world.host.link("/later", Answer(status=500))
    long, last = f"{later}?{'q' * 8_192}", world.host.link("/last", Answer(FILE))
    request_id = await world.complete({"videoUrl": large, "more": [later, long, last]})

    def tried(job: dict[str, Any]) -> bool:
        return all(file["error"] or file["sha256"] for file in job["archive"])

    job = await eventually(lambda: job_of(world.client, request_id), tried)
    states = [(file["state"], (file["error"] or "").partition(":")[0]) for file in job["archive"]]
    assert states == [
        ("failed", "too_large"),
        ("pending", "bad_status"),
        ("failed", "refused_target"),
        ("stored", ""),
    ]
    assert job["archive"][2]["link"] == long
    assert (await world.result(request_id, params={"n": 4})).content == FILE
    for n, link in ((1, large), (2, later), (3, long)):
        answer = await world.result(request_id, params={"n": n})
        assert (answer.status_code, answer.headers["Location"]) == (302, link)
    events = await history_of(world.client, request_id, "event")
    seqs = [line["job"]["seq"] for line in events]
    assert len(seqs) == len(set(seqs)) == job["seq"], "a retry is not an event"


async def test_links_beyond_64_kib_are_not_kept(world: ArchiveWorld) -> None:
    """Each change of a job writes all of them."""
    links = [world.host.link(f"/{n}?{'q' * 8_000}", Answer(FILE)) for n in range(1, 11)]
    request_id = await world.complete({"videoUrl": links[0], "frames": links[1:]})
    job = await world.wait_until_settled(request_id)
    assert [file["link"] for file in job["archive"]] == links[:8]
    assert (await world.result(request_id, params={"n": 8})).content == FILE
    answer = await world.result(request_id, params={"n": 9})
    assert (answer.status_code, answer.headers["Location"]) == (302, links[8])


async def test_the_file_of_a_job_that_is_removed_meanwhile_is_removed(world: ArchiveWorld) -> None:
    link = world.host.link("/late", Answer(FILE, pause=0.05))
    request_id = await world.complete({"videoUrl": link})

    async def partial() -> list[Path]:
        return list((world.kept / PARTIAL).glob("*"))

    async def kept() -> list[Path]:
        return [*await partial(), *(world.kept / "ada" / request_id).glob("*")]

    await eventually(partial, bool, "a download")
    while (await world.service.store.retention.remove(2**50, 99)).jobs:
        pass
    await world.service.store.archive.forget(await world.service.store.archive.removals("", 99))
    await eventually(kept, lambda files: not files, "an empty folder")


async def test_the_slow_downloads_of_a_user_do_not_hold_up_those_of_another(tmp_path: Path) -> None:
    async with archiving(tmp_path) as world:
        slow = world.host.link("/hangs", Answer(FILE, pause=30.0))
        bob = await world.service.user("bob")
        for _ in range(4):
            await world.complete({"videoUrl": slow}, bob)
        await world.create_stored("/q", Answer(FILE))
    assert world.host.asked.count("/hangs") == 2, "half of the slots"


async def test_a_host_that_does_not_answer_takes_one_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other files wait, and those of other hosts do not."""
    monkeypatch.setattr(downloads, "ANSWER_PAUSE", 50)
    async with faulty_server(stall_after(b"")) as silent, archiving(tmp_path) as world:
        files = [f"http://127.0.0.1:{silent.port}/{n}" for n in range(2)]
        for name in ("bob", "eve"):
            client = await world.service.user(name)
            for link in files:
                await world.complete({"videoUrl": link}, client)
        await silent.received.wait()
        await world.create_stored("/q", Answer(FILE))
        assert silent.connections == 1


@pytest.mark.parametrize(
    ("fault", "pause", "error"),
    [
        ((downloads, "TOTAL_SECONDS", 0.1), 0.2, "timeout"),
        ((FolderArchive, "put", None), 0.0, "archive_unavailable"),
    ],
)
async def test_an_attempt_that_is_too_slow_or_finds_a_fault_of_the_archive_has_failed(
    world: ArchiveWorld,
    monkeypatch: pytest.MonkeyPatch,
    fault: tuple[object, str, object],
    pause: float,
    error: str,
) -> None:
    """So the gaps grow, and the retries end."""
    monkeypatch.setattr(*fault)
    link = world.host.link(f"/{error}", Answer(FILE, pause=pause))
    request_id = await world.complete({"videoUrl": link})
    await eventually(
        lambda: job_of(world.client, request_id), lambda job: job["archive"][0]["error"] == error
    )
    assert list((world.kept / PARTIAL).iterdir()) == []
