"""A service that archives the files of its jobs, with its surroundings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.archive.file_host import Answer, FileHost, file_host
from tests.http_api.accepted_job import create_accepted_job
from tests.http_api.scripted_provider import ScriptedProvider, scripted_provider
from tests.support.service import RunningService, eventually, job_of, running_service


@dataclass
class ArchiveWorld:
    """The service, its provider, the host of the provider's files, and a user."""

    service: RunningService
    provider: ScriptedProvider
    host: FileHost
    client: httpx.AsyncClient
    kept: Path
    """The archive's folder."""

    async def complete(
        self, result: dict[str, Any], client: httpx.AsyncClient | None = None, **members: Any
    ) -> str:
        """Create a job that ends with this result; returns its id."""
        job = await create_accepted_job(client or self.client, self.provider, **members)
        await job.send({"status": "COMPLETED", "result": result})
        await job.wait_for(done=True)
        return job.request_id

    async def wait_until_settled(self, request_id: str) -> dict[str, Any]:
        """Wait until no file of the job is pending; returns the job."""
        return await eventually(
            lambda: job_of(self.client, request_id),
            lambda job: all(file["state"] != "pending" for file in job["archive"]),
            "an archive in which nothing is pending",
        )

    async def create_stored(self, path: str, answer: Answer) -> str:
        """Create a job whose only file is stored; returns its id."""
        request_id = await self.complete({"videoUrl": self.host.link(path, answer)})
        await self.wait_until_settled(request_id)
        return request_id

    async def result(self, request_id: str, **given: Any) -> httpx.Response:
        return await self.client.get(f"/v1/jobs/{request_id}/result", **given)


@asynccontextmanager
async def archiving(folder: Path, **given: Any) -> AsyncIterator[ArchiveWorld]:
    """Run the service until the block is left."""
    settings = {
        "archive_url": f"file://{folder}/kept",
        "archive_max_bytes": 1_000_000,
        "relay_allow_http": True,
        "relay_allow_nets": "127.0.0.0/8",
        "confirm_callbacks": False,
    }
    async with (
        scripted_provider() as provider,
        file_host() as host,
        running_service(folder, **provider.settings() | settings | given) as service,
    ):
        yield ArchiveWorld(service, provider, host, await service.user(), folder / "kept")
