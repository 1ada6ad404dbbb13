"""The process itself: started as operators start it, told to stop, and killed (contract 11)."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from operator import le
from pathlib import Path
from typing import Any

import httpx

from receiver.http_server import listen
from store.open import open_store
from tests.http_api.scripted_provider import ScriptedProvider
from tests.service import JOB, PATIENCE, eventually, job_of, make_key


def free_port() -> int:
    with closing(listen("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def environment(folder: Path, port: int, settings: dict[str, Any]) -> dict[str, str]:
    given = {"database_url": f"sqlite:///{folder / 'receiver.db'}", "port": port, "rate_limit": ""}
    ours = {f"RECEIVER_{name.upper()}": str(value) for name, value in (given | settings).items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECEIVER_")}
    return kept | ours | {"PYTHONPATH": str(Path.cwd())}


async def spawn(folder: Path, port: int, **settings: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "receiver", "serve"),
        cwd=folder,
        env=environment(folder, port, settings),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def process(
    folder: Path, port: int, **settings: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A service in a process of its own, once it answers; killed when the block is left."""
    serving = await spawn(folder, port, **settings)
    log = asyncio.create_task(_drained(serving))
    try:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:

            async def ready() -> bool:
                assert serving.returncode is None, (await log).decode()
                try:
                    return (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success
                except httpx.TransportError:
                    return False

            await eventually(ready, bool, "a service that is ready")
        yield serving
    finally:
        if serving.returncode is None:
            serving.kill()
        await serving.wait()
        await log


async def _drained(serving: asyncio.subprocess.Process) -> bytes:
    assert serving.stderr is not None
    return await serving.stderr.read()


async def key_in(folder: Path) -> str:
    store = await open_store(f"sqlite:///{folder / 'receiver.db'}")
    try:
        return await make_key(store, "ada")
    finally:
        await store.close()


def client_of(port: int, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"API-KEY": key},
        trust_env=False,
        verify=False,
        timeout=PATIENCE,
    )


async def test_a_kill_loses_nothing_acknowledged_and_pays_nothing_twice(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    key, port = await key_in(tmp_path), free_port()
    settings = provider.settings() | {"poll_first": 0.1, "poll_min": 0.1, "poll_max": 0.5}
    acknowledged: dict[str, str] = {}

    async def submit_until_killed(client: httpx.AsyncClient, worker: int) -> None:
        for n in range(10_000):
            prompt = f"{time.monotonic()}/{worker}/{n}"
            body = JOB | {"input": JOB["input"] | {"prompt": prompt}}
            try:
                answer = await client.post("/v1/jobs", json=body)
            except httpx.TransportError:
                return
            assert answer.status_code == 202
            acknowledged[answer.json()["request_id"]] = prompt

    for round_ in range(3):
        async with process(tmp_path, port, **settings) as serving, client_of(port, key) as client:
            workers = [asyncio.create_task(submit_until_killed(client, n)) for n in range(4)]
            goal = 40 * (round_ + 1)

            async def count() -> int:
                return len(acknowledged)

            await eventually(count, partial(le, goal))
            serving.kill()
            await serving.wait()
            await asyncio.gather(*workers)

    provider.states.clear()
    provider.states.default_factory = lambda: {
        "status": "COMPLETED",
        "result": {"videoUrl": "https://cdn.example/v.mp4"},
    }
    settled = {"COMPLETED", "submit_unconfirmed"}
    async with (
        process(tmp_path, port, **settings),
        client_of(port, key) as client,
    ):
        for request_id in acknowledged:
            job = await eventually(
                partial(job_of, client, request_id),
                lambda job: bool({job["status"], job["phase"]} & settled),
            )
            assert job["done"] or job["provider_request_id"] is None
    sent = [submission.body["input"]["prompt"] for submission in provider.submissions]
    assert len(sent) == len(set(sent)), "a job was submitted twice"
    assert len(acknowledged) >= 120


async def test_a_stop_is_quick_and_clean(tmp_path: Path, provider: ScriptedProvider) -> None:
    key, port = await key_in(tmp_path), free_port()
    async with (
        process(tmp_path, port, **provider.settings()) as serving,
        client_of(port, key) as client,
        client.stream("GET", "/v1/events") as stream,
    ):
        waiting = asyncio.create_task(
            client.post("/v1/jobs", json=JOB, headers={"Prefer": "wait=60"})
        )
        await provider.submitted()
        began = time.monotonic()
        serving.send_signal(signal.SIGTERM)
        async for _ in stream.aiter_raw():
            pass
        assert (await waiting).status_code == 202
        async with asyncio.timeout(PATIENCE):
            assert await serving.wait() == 0
        assert time.monotonic() - began < 10


async def test_a_second_service_on_the_database_refuses_to_start(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    port = free_port()
    async with process(tmp_path, port, **provider.settings()):
        link = tmp_path / "elsewhere"
        link.symlink_to(tmp_path)
        for folder in (tmp_path, link):
            second = await spawn(folder, free_port(), **provider.settings())
            _, said = await second.communicate()
            assert second.returncode == 2
            assert said.strip()
            assert b"Traceback" not in said
        # Not even the port is taken without a word.
        (tmp_path / "other").mkdir()
        third = await spawn(tmp_path / "other", port, **provider.settings())
        _, said = await third.communicate()
        assert third.returncode == 1
        assert str(port).encode() in said
        assert b"Traceback" not in said
