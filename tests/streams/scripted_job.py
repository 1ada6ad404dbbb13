"""A job that the test's callbacks advance, in a service that can be restarted."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.http_api.accepted_job import create_accepted_job
from tests.http_api.scripted_provider import call_back, scripted_provider
from tests.support.ports import free_port
from tests.support.service import RunningService, running_service, wait_for_metric

COMPLETED = {"status": "COMPLETED", "result": {"videoUrl": "https://cdn.example/v.mp4"}}
HEARTBEAT = 0.5


class Job:
    """A job that the provider has accepted. Its service is always on the same port and database."""

    service: RunningService
    key: str
    request_id: str
    callbacks: str

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._settings = settings | {"port": free_port()}
        self._run = AsyncExitStack()

    async def start(self) -> None:
        running = running_service(self._folder, **self._settings)
        self.service = await self._run.enter_async_context(running)

    async def stop(self) -> None:
        """Stop in good order, as at SIGTERM."""
        await self._run.aclose()

    @property
    def path(self) -> str:
        return f"/v1/jobs/{self.request_id}/events"

    async def callback(self, **body: Any) -> None:
        answer = await call_back(self.callbacks, body)
        assert answer.status_code == 200

    async def read_by(self, streams: int) -> None:
        """Wait until this many streams are open."""
        await wait_for_metric(self.service, "receiver_streams_open", streams)


@asynccontextmanager
async def accepted_job(folder: Path, **given: Any) -> AsyncIterator[Job]:
    async with scripted_provider() as provider:
        settings: dict[str, Any] = {"confirm_callbacks": False, "stream_heartbeat": HEARTBEAT}
        job = Job(folder, **provider.settings() | settings | given)
        await job.start()
        try:
            job.key = await job.service.key()
            accepted = await create_accepted_job(job.service.client(job.key), provider)
            job.request_id, job.callbacks = accepted.request_id, accepted.callback_url
            yield job
        finally:
            await job.stop()
