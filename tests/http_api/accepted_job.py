"""A job that the scripted provider has accepted, moved by the callbacks that a test sends."""

from typing import Any

import httpx

from tests.http_api.scripted_provider import ScriptedProvider, call_back
from tests.support.service import (
    RunningService,
    eventually,
    history_of,
    job_of,
    submit,
    wait_for_job,
)


class AcceptedJob:
    """A job and its callback URL."""

    def __init__(self, client: httpx.AsyncClient, request_id: str, callback_url: str) -> None:
        self.client = client
        self.request_id = request_id
        self.callback_url = callback_url
        self.path = f"/v1/jobs/{request_id}"

    async def send(self, body: Any, status: int = 200, receipt: str = "accepted") -> None:
        """Send a callback, and check the answer."""
        answer = await call_back(self.callback_url, body)
        assert answer.status_code == status, answer.text
        if status == 200:
            assert answer.json() == {"status": receipt}

    async def document(self) -> dict[str, Any]:
        return await job_of(self.client, self.request_id)

    async def wait_for(self, **members: Any) -> dict[str, Any]:
        """Wait until the job has these values, and return it."""
        return await wait_for_job(self.client, self.request_id, **members)

    async def callbacks(self) -> list[dict[str, Any]]:
        """The callbacks in the job's history."""
        return await history_of(self.client, self.request_id, "callback")

    async def wait_for_verdicts(self, *expected: str) -> list[dict[str, Any]]:
        """Wait until the callbacks in its history have these verdicts, and return them."""
        return await eventually(
            self.callbacks,
            lambda lines: [line["verdict"] for line in lines] == list(expected),
            f"callbacks {expected}",
        )

    async def cancel(self) -> httpx.Response:
        return await self.client.post(f"{self.path}/cancel")


async def create_accepted_job(
    service: RunningService | httpx.AsyncClient, provider: ScriptedProvider, **members: Any
) -> AcceptedJob:
    """Create a job, for this client or a new user; returns once the provider has accepted it."""
    client = await service.user() if isinstance(service, RunningService) else service
    before = len(provider.submissions)
    request_id = (await submit(client, **members))["request_id"]
    url = (await provider.submitted(before + 1)).webhook_url
    await wait_for_job(client, request_id, phase="accepted")
    return AcceptedJob(client, request_id, url)
