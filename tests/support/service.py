"""A whole service on a port of its own, for tests that use it over HTTP, as its users do."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from receiver import app
from receiver.app import Service
from receiver.clock import SystemClock
from receiver.config.environment import load
from receiver.engine.keys import hash_key
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.server.serve import listen, origin, serving
from receiver.webhooks.signing import new_secret
from store.database import Store
from store.keys import ApiKey
from tests.support import documented

T = TypeVar("T")

TIMEOUT = 30.0
"""Seconds after which a test stops waiting."""

MOVIE: dict[str, Any] = {
    "prompt": "A lighthouse at dawn",
    "image_model": "IMAGEN3",
    "video_model": "LUMA",
    "duration": 30,
}
JOB: dict[str, Any] = {"kind": "create_movie", "input": MOVIE}


class ShiftedClock(SystemClock):
    """The machine's clock with two changes: a test can set the wall clock ahead, and skip monotonic
    time.

    A sandbox job that lasts an hour then moves only when the test says so, and no state of it is
    missed.
    """

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._skipped = 0.0

    def now(self) -> int:
        return super().now() + self.ahead_ms

    def skip(self, seconds: float) -> None:
        """Advance the monotonic clock."""
        self._skipped += seconds

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped


@dataclass
class RunningService:
    """A service that can be called at `url`."""

    url: str
    inner: Service
    clock: ShiftedClock
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.inner.context.services.store

    def client(self, key: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client of the service, with this key if one is given. It is closed with the service."""
        if key is not None:
            headers["API-KEY"] = key
        client = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            trust_env=False,
            timeout=TIMEOUT,
            event_hooks={"response": [documented.check]},
            verify=False,  # nothing here uses TLS, and loading the authorities is slow
        )
        self._clients.append(client)
        return client

    async def key(self, user: str = "ada", *, admin: bool = False) -> str:
        """A new key of `user`, who is created if necessary."""
        return await make_key(self.store, user, admin=admin)

    async def user(self, name: str = "ada", *, admin: bool = False) -> httpx.AsyncClient:
        """A client with a new key of this user."""
        return self.client(await self.key(name, admin=admin))

    async def close_clients(self) -> None:
        for client in self._clients:
            await client.aclose()


async def make_key(store: Store, user: str, *, admin: bool = False, secret: str = "") -> str:
    """Add a key as `receiver keys create` does, and return it."""
    key = "rk_" + secrets.token_urlsafe(32)
    row = ApiKey(
        hash=hash_key(key),
        prefix=key[:11],
        user_id=0,
        user=user,
        admin=admin,
        created_at=SystemClock().now(),
        revoked_at=None,
    )
    await store.keys.add(row, secret or new_secret(secrets.token_bytes(32)))
    return key


@asynccontextmanager
async def running_service(
    folder: Path, *, clock: ShiftedClock | None = None, port: int = 0, **given: Any
) -> AsyncIterator[RunningService]:
    """Run a service with these settings until the block is left; leaving it shuts the service down.
    The database is in `folder`."""
    clock = clock or ShiftedClock()
    defaults: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'receiver.db'}",
        "provider": "sandbox",
        "sandbox_render": 0.3,
        "rate_limit": "",
    }
    with listen("127.0.0.1", port) as listener:
        given = defaults | given | {"port": listener.getsockname()[1]}
        settings = load(with_providers(ServiceSettings), **given)
        async with app.running(settings, clock=clock) as inner:
            service = RunningService(origin(listener), inner, clock)
            async with serving(inner.app, listener, grace=2):
                try:
                    yield service
                finally:
                    inner.begin_stop()
                    await service.close_clients()


# --- waiting for what comes -----------------------------------------------------------------------


async def eventually(
    read: Callable[[], Awaitable[T]],
    is_settled: Callable[[T], bool],
    what: str = "it",
    *,
    timeout: float = TIMEOUT,
) -> T:
    """Call `read` until `is_settled` holds. After `timeout` seconds, fail and show the last result.

    The first calls follow quickly: most changes come within milliseconds.
    """
    until = time.monotonic() + timeout
    pause = 0.002
    while True:
        began = time.monotonic()
        seen = await read()
        if is_settled(seen):
            return seen
        assert began < until, f"{what} did not come; last seen: {str(seen)[:2000]}"
        # Looking at many jobs is slow, and must not keep the service busy.
        await asyncio.sleep(max(pause, time.monotonic() - began))
        pause = min(2 * pause, 0.02)


async def until_seen(
    look: Callable[[], T], is_settled: Callable[[T], bool] = bool, what: str = "it"
) -> T:
    """Like `eventually`, for what the test's own process can see."""

    async def read() -> T:
        return look()

    return await eventually(read, is_settled, what)


async def wait_for_length(items: Sized, count: int, what: str) -> None:
    """Wait until the list has this many items."""
    await until_seen(lambda: len(items), lambda seen: seen >= count, what)


async def submit(client: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    """Create a job and return the answer's document."""
    answer = await client.post("/v1/jobs", json=JOB | members)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def job_of(client: httpx.AsyncClient, request_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/jobs/{request_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def job_without_input(client: httpx.AsyncClient, request_id: str) -> dict[str, Any]:
    """The job as lists, streams and answers show it, that is, without its input and why it
    waits."""
    job = await job_of(client, request_id)
    return {name: value for name, value in job.items() if name not in ("input", "waiting")}


async def wait_for_job(
    client: httpx.AsyncClient, request_id: str, **members: Any
) -> dict[str, Any]:
    """Wait until the job has these values, and return it."""
    return await eventually(
        lambda: job_of(client, request_id),
        lambda job: all(job[name] == value for name, value in members.items()),
        f"a job with {members}",
    )


async def listed(client: httpx.AsyncClient, name: str, **query: str) -> list[dict[str, Any]]:
    """The entries of a list, such as `jobs`."""
    answer = await client.get(f"/v1/{name}", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()[name])


async def history_of(
    client: httpx.AsyncClient, request_id: str, type_: str = ""
) -> list[dict[str, Any]]:
    """The entries of a job's history, of all types or of one."""
    answer = await client.get(f"/v1/jobs/{request_id}/history")
    assert answer.status_code == 200, answer.text
    return [line for line in answer.json()["history"] if type_ in ("", line["type"])]


async def metric(service: RunningService, line: str) -> float:
    """The value of one sample in /metrics, such as `name{label="value"}`; 0 if it is absent."""
    text = (await service.client().get("/metrics")).text
    for sample in text.splitlines():
        if sample.startswith(line + " "):
            return float(sample.removeprefix(line))
    return 0.0


async def wait_for_metric(service: RunningService, line: str, value: float) -> None:
    """Wait until a sample in /metrics has this value."""
    await eventually(lambda: metric(service, line), lambda seen: seen == value, line)
