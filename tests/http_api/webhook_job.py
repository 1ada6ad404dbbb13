"""A job whose webhooks go to a sink, and its deliveries."""

from dataclasses import dataclass
from typing import Any

from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.relay_sink import Sink
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import RunningService, eventually, listed, make_key

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
        return (await listed(self.client, "deliveries", request_id=self.request_id))[::-1]

    async def wait_for_states(self, *expected: str) -> list[dict[str, Any]]:
        """Wait until the deliveries have these states, oldest first, and return them."""
        return await eventually(
            self.deliveries,
            lambda found: [each["state"] for each in found] == list(expected),
            f"deliveries {expected}",
        )


@dataclass
class WebhookJobs:
    """Creates jobs whose webhooks go to a sink, or to another URL."""

    service: RunningService
    provider: ScriptedProvider
    sink: Sink

    async def create(self, url: str | None = None, **members: Any) -> WebhookJob:
        """Create a job of the user ada."""
        client = self.service.client(await make_key(self.service.store, "ada", secret=SECRET))
        url = url or self.sink.url
        job = await create_accepted_job(client, self.provider, webhookUrl=url, **members)
        return WebhookJob(client, job.request_id, job.callback_url)
