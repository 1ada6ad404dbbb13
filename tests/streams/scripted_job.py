"""A job that the test's callbacks advance, in a service that can be restarted."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.http_api.accepted_job import create_accepted_job
from tests.http_api.scripted_provider import call_back, scripted_provider
from tests.support.ports import free_port
from tests.support.service import RunningService, eventually, metric, running_service

COMPLETED = {"status": "COMPLETED", "result": {"videoUrl": "https://cdn.example/v.mp4"}}
HEARTBEAT = 0.5


class Restartable:
    """A service that is always on the same port and database."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._settings = settings | {"port": free_port()}
        self._run = AsyncExitStack()
        self.service: RunningService

    async def start(self) -> None:
        running = running_service(self._folder, **self._settings)
        self.service = await self._run.enter_async_context(running)

    async def stop(self) -> None:
        """Stop in good order, as at SIGTERM."""
        await self._run.aclose()


@dataclass
class Job:
    """A job that the provider has accepted."""

    where: Restartable
    key: str
    request_id: str
    callbacks: str

    @property
    def service(self) -> RunningService:
        return self.where.service

    @property
    def path(self) -> str:
        return f"/v1/jobs/{self.request_id}/events"

    async def callback(self, **body: Any) -> None:
        answer = await call_back(self.callbacks, body)
        assert answer.status_code == 200

    async def restart(self) -> None:
        await self.where.stop()
        await self.where.start()

    async def read_by(self, streams: int) -> None:
        """Wait until this many streams are open."""
        service = self.service
        await eventually(
            lambda: metric(service, "receiver_streams_open"), lambda open_: open_ == streams
        )


@asynccontextmanager
async def accepted_job(folder: Path, **given: Any) -> AsyncIterator[Job]:
    async with scripted_provider() as provider:
        settings: dict[str, Any] = {"confirm_callbacks": False, "stream_heartbeat": HEARTBEAT}
        where = Restartable(folder, **provider.settings() | settings | given)
        await where.start()
        try:
            key = await where.service.key()
            job = await create_accepted_job(where.service.client(key), provider)
            yield Job(where, key, job.request_id, job.callback_url)
        finally:
            await where.stop()
