"""A job whose webhooks go to a sink, and its deliveries."""

from dataclasses import dataclass
from typing import Any

from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.relay_sink import Sink
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import RunningService, eventually, make_key

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
RELAY: dict[str, Any] = {
    "confirm_callbacks": False,
    "relay_allow_nets": "127.0.0.0/8",
    "relay_allow_http": True,
    "relay_schedule": "0,0.05,0.05",
}
"""Settings of a service that may send webhooks to this machine, and trusts callbacks."""


class WebhookJob(AcceptedJob):
    """A job whose webhooks go to a sink."""

    async def apply(self, body: dict[str, Any]) -> None:
        """Send a callback; returns once it is applied."""
        before = len(await self.callbacks())
        await self.send(body)
        await eventually(
            self.callbacks, lambda lines: len(lines) > before and lines[-1]["verdict"] != "waiting"
        )

    async def deliveries(self) -> list[dict[str, Any]]:
        """The job's deliveries, oldest first."""
        found = (await self.client.get("/v1/deliveries")).json()["deliveries"]
        return [each for each in found[::-1] if each["request_id"] == self.request_id]

    async def wait_for_states(self, *expected: str) -> list[dict[str, Any]]:
        """Wait until the deliveries have these states, oldest first, and return them."""
        return await eventually(
            self.deliveries,
            lambda found: [each["state"] for each in found] == list(expected),
            f"deliveries {expected}",
        )


async def create_webhook_job(
    service: RunningService, provider: ScriptedProvider, url: str, **members: Any
) -> WebhookJob:
    """Create a job of the user ada whose webhooks go to that URL."""
    client = service.client(await make_key(service.store, "ada", secret=SECRET))
    job = await create_accepted_job(client, provider, webhookUrl=url, **members)
    return WebhookJob(client, job.request_id, job.callback_url)


@dataclass
class WebhookJobs:
    """Creates jobs whose webhooks go to a sink, or to another URL."""

    service: RunningService
    provider: ScriptedProvider
    sink: Sink

    async def create(self, url: str | None = None, **members: Any) -> WebhookJob:
        return await create_webhook_job(
            self.service, self.provider, url or self.sink.url, **members
        )
