"""Archiving results, from the outcome of a job to the file that is served."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.archive.folder import PARTIAL, FolderArchive
from receiver.domain import archive
from receiver.workers import archiver
from tests.archive.archived_job import complete, settings, settled
from tests.archive.file_host import Answer, FileHost, file_of
from tests.http_api.scripted_provider import ScriptedProvider, refusing_status
from tests.support.service import (
    RunningService,
    eventually,
    history_of,
    job_of,
    metric,
    running_service,
)

FILE = file_of(300_000)
SHA256 = hashlib.sha256(FILE).hexdigest()

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_file_is_stored_and_served_to_its_user_until_somebody_removes_it(
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    host: FileHost,
    folder: Path,
    service: RunningService,
) -> None:
    link = host.link("/a.mp4", Answer(FILE, headers={"Content-Type": "video/mp4"}))
    request_id = await complete(client, provider, {"videoUrl": link})
    job = await settled(client, request_id)
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
    kept = folder / "kept" / "ada" / request_id / "1.mp4"
    assert kept.read_bytes() == FILE
    del host.answers["/a.mp4"]  # the link dies

    path = f"/v1/jobs/{request_id}/result"
    assert (await client.get(path)).content == FILE
    assert (await (await service.user("bob")).get(path)).status_code == 404
    losses: list[Callable[[], None]] = [lambda: os.truncate(kept, 400), kept.unlink, kept.mkdir]
    for lose in losses:
        lose()
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (302, link)


async def test_every_link_of_a_result_is_archived_the_main_one_first(
    client: httpx.AsyncClient, provider: ScriptedProvider, host: FileHost
) -> None:
    names = ("/first", "/main", "/deep", "/last")
    first, main, deep, last = (host.link(name, Answer(name.encode())) for name in names)
    result = {
        "first": first,
        "videoUrl": main,
        "more": [{"deep": [deep, "no link", 7]}, main],
        "text": "see https://example.com for more",
        "other": "ftp://example.com/x",
        "last": last.replace("http:", "HTTP:"),
    }
    request_id = await complete(client, provider, result)
    job = await settled(client, request_id)
    assert [file["link"] for file in job["archive"]] == [main, first, deep, result["last"]]
    assert {file["state"] for file in job["archive"]} == {"stored"}
    path = f"/v1/jobs/{request_id}/result"
    for n, name in ((1, "/main"), (2, "/first"), (3, "/deep"), (4, "/last")):
        assert (await client.get(path, params={"n": n})).text == name
    for wrong, status in (("5", 404), ("0", 400), ("x", 400), ("", 400), ("99999", 400)):
        assert (await client.get(path, params={"n": wrong})).status_code == status, wrong


async def test_every_link_of_a_long_result_that_nobody_confirmed_is_archived(
    provider: ScriptedProvider, host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "status", refusing_status(500))
    confirming = {"confirm_callbacks": True, "confirm_timeout": 0.1, "poll_min": 0.1}
    links = [host.link(name, Answer(FILE)) for name in ("/shown", "/beyond")]
    result = {"videoUrl": links[0], "log": "x" * 70_000, "last": links[1]}
    async with running_service(tmp_path, **settings(provider, tmp_path) | confirming) as service:
        client = await service.user()
        request_id = await complete(client, provider, result)
        job = await eventually(
            lambda: job_of(client, request_id),
            lambda job: [file["state"] for file in job["archive"]] == ["stored"] * 2,
        )
    assert [file["link"] for file in job["archive"]] == links


async def test_storing_makes_an_event_and_no_webhook(
    client: httpx.AsyncClient, provider: ScriptedProvider, host: FileHost, service: RunningService
) -> None:
    hook = host.link("/hook", Answer())
    webhook = {"webhookUrl": hook, "webhookEvents": ["COMPLETED", "progress"]}
    link = host.link("/e", Answer(FILE))
    stored_before = await metric(service, "receiver_archive_stored_bytes_total")
    finished = 'receiver_jobs_finished_total{evidence="callback",status="COMPLETED"}'
    finished_before = await metric(service, finished)
    request_id = await complete(client, provider, {"videoUrl": link}, **webhook)
    await settled(client, request_id)
    events = [line["job"] for line in await history_of(client, request_id, "event")]
    assert [job["archive"] and job["archive"][0]["state"] for job in events[-2:]] == [
        "pending",
        "stored",
    ]
    before, after = events[-2:]
    changed = {name for name in after if before[name] != after[name]}
    assert changed == {"archive", "seq", "updated_at"}
    deliveries = (await client.get("/v1/deliveries", params={"request_id": request_id})).json()
    assert [each["status"] for each in deliveries["deliveries"]] == ["COMPLETED"]
    assert await metric(service, "receiver_archive_stored_bytes_total") - stored_before == len(FILE)
    assert await metric(service, finished) - finished_before == 1


async def test_a_failed_download_is_reported_and_the_link_returned(
    client: httpx.AsyncClient, provider: ScriptedProvider, host: FileHost
) -> None:
    main = host.link("/large", Answer(file_of(1_000_001)))
    gone = host.link("/gone", Answer(status=410))
    refused = "http://10.0.0.1/x.mp4"
    later = host.link("/later", Answer(status=500))
    long, last = f"{later}?{'q' * 8_192}", host.link("/last", Answer(FILE))
    result = {
        "videoUrl": main,
        "gone": gone,
        "refused": refused,
        "later": later,
        "long": long,
        "last": last,
    }
    request_id = await complete(client, provider, result)

    def tried(job: dict[str, Any]) -> bool:
        return all(file["error"] or file["sha256"] for file in job["archive"])

    job = await eventually(lambda: job_of(client, request_id), tried)
    states = [(file["state"], (file["error"] or "").partition(":")[0]) for file in job["archive"]]
    assert states == [
        ("failed", "too_large"),
        ("failed", "bad_status"),
        ("failed", "refused_target"),
        ("pending", "bad_status"),
        ("failed", "link_too_long"),
        ("stored", ""),
    ]
    path = f"/v1/jobs/{request_id}/result"
    assert job["archive"][4]["link"] == long[:8_192]
    assert (await client.get(path, params={"n": 6})).content == FILE
    for n, link in ((1, main), (2, gone), (3, refused), (4, later), (5, long)):
        answer = await client.get(path, params={"n": n})
        assert (answer.status_code, answer.headers["Location"]) == (302, link)
    events = await history_of(client, request_id, "event")
    seqs = [line["job"]["seq"] for line in events]
    assert len(seqs) == len(set(seqs)) == job["seq"], "a try that is repeated is no event"


async def test_the_file_of_a_job_that_is_removed_meanwhile_is_removed(
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    host: FileHost,
    folder: Path,
    service: RunningService,
) -> None:
    link = host.link("/late", Answer(FILE, pause=0.05))
    request_id = await complete(client, provider, {"videoUrl": link})

    async def partial() -> list[Path]:
        return list((folder / "kept" / PARTIAL).glob("*"))

    async def kept() -> list[Path]:
        return [*await partial(), *(folder / "kept" / "ada" / request_id).glob("*")]

    await eventually(partial, bool, "a download")
    assert await service.store.jobs.remove_finished(2**50, 99)
    await service.store.archive.forget(await service.store.archive.removals("", 99))
    await eventually(kept, lambda files: not files, "an empty folder")


async def test_the_slow_downloads_of_a_user_do_not_hold_up_those_of_another(
    provider: ScriptedProvider, host: FileHost, tmp_path: Path
) -> None:
    slow, quick = host.link("/hangs", Answer(FILE, pause=30.0)), host.link("/q", Answer(FILE))
    given = settings(provider, tmp_path) | {"archive_concurrency": 3}
    async with running_service(tmp_path, **given) as service:
        bob, ada = await service.user("bob"), await service.user("ada")
        for _ in range(4):
            await complete(bob, provider, {"videoUrl": slow})
        job = await settled(ada, await complete(ada, provider, {"videoUrl": quick}))
    assert job["archive"][0]["state"] == "stored"
    assert sum(path == "/hangs" for path, _ in host.asked) == 2, "half of the slots, rounded up"


async def test_files_are_removed_while_no_slot_is_free(
    provider: ScriptedProvider, host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver, "MAINTENANCE_SECONDS", 0.1)
    stored, hangs = host.link("/s", Answer(FILE)), host.link("/busy", Answer(FILE, pause=30.0))
    given = settings(provider, tmp_path) | {"archive_concurrency": 1}

    async def folders() -> list[Path]:
        return list((tmp_path / "kept").glob("ada/*"))

    async def asked() -> bool:
        return ("/busy", 0) in host.asked

    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        await settled(client, await complete(client, provider, {"videoUrl": stored}))
        await complete(client, provider, {"videoUrl": hangs})
        await eventually(asked, bool)
        assert await folders()
        await service.store.jobs.remove_finished(2**50, 1)
        await eventually(folders, lambda found: not found)


async def test_an_attempt_has_a_time_limit(
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    host: FileHost,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archiver, "TOTAL_SECONDS", 0.1)
    link = host.link("/slow", Answer(FILE, pause=0.2))
    request_id = await complete(client, provider, {"videoUrl": link})
    job = await eventually(
        lambda: job_of(client, request_id), lambda job: bool(job["archive"][0]["error"])
    )
    assert job["archive"][0]["error"] == "timeout"
    assert list((folder / "kept" / PARTIAL).iterdir()) == []


async def test_a_fault_of_the_archive_is_an_outcome(
    client: httpx.AsyncClient,
    provider: ScriptedProvider,
    host: FileHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So gaps grow, and it ends."""
    monkeypatch.setattr(FolderArchive, "put", None)
    request_id = await complete(client, provider, {"videoUrl": host.link("/p", Answer(FILE))})
    job = await eventually(
        lambda: job_of(client, request_id), lambda job: bool(job["archive"][0]["error"])
    )
    assert job["archive"][0]["error"] == "archive_unavailable"


async def test_a_failed_attempt_is_repeated_and_leaves_nothing_behind(
    provider: ScriptedProvider, host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention removes files with their jobs, and what a dead process had begun goes at start."""
    monkeypatch.setattr(archive, "GAP_MIN", 100)
    monkeypatch.setattr(archiver, "MAINTENANCE_SECONDS", 0.1)
    kept = tmp_path / "kept"
    (kept / PARTIAL).mkdir(parents=True)
    (kept / PARTIAL / "left").write_bytes(b"part")
    link = host.link("/again", Answer(FILE, status=503))
    given = settings(provider, tmp_path)

    async def files() -> list[str]:
        return [path.name for path in kept.rglob("*") if path.is_file()]

    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        request_id = await complete(client, provider, {"videoUrl": link})
        waiting = await eventually(
            lambda: job_of(client, request_id), lambda job: bool(job["archive"][0]["error"])
        )
        assert waiting["archive"][0]["state"] == "pending"
        host.answers["/again"] = Answer(FILE)
        await settled(client, request_id)
        assert await files() == ["1.bin"]
    async with running_service(tmp_path, **given, retention_days=1e-6):
        await eventually(files, lambda names: not names, "an empty archive")
