"""A job whose webhooks go to a sink, and its deliveries."""

from typing import Any

import pytest

from tests.http_api.accepted_job import AcceptedJob, accepted
from tests.http_api.conftest import Start
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


@pytest.fixture
async def service(provider: ScriptedProvider, start: Start) -> RunningService:
    """A service that may send webhooks to this machine, and takes callbacks at their word."""
    return await start(**provider.settings(), **RELAY)


class Followed(AcceptedJob):
    """A job whose webhooks go to a sink."""

    async def apply(self, body: dict[str, Any]) -> None:
        """Send a callback; returns when it is applied."""
        before = len(await self.callbacks())
        await self.send(body)
        await eventually(
            self.callbacks,
            lambda lines: len(lines) > before and lines[-1]["verdict"] != "waiting",
        )

    async def deliveries(self) -> list[dict[str, Any]]:
        """Oldest first."""
        found = (await self.client.get("/v1/deliveries")).json()["deliveries"]
        return [each for each in found[::-1] if each["request_id"] == self.request_id]

    async def states(self, *expected: str) -> list[dict[str, Any]]:
        """The deliveries, once they have these states, oldest first."""
        return await eventually(
            self.deliveries,
            lambda found: [each["state"] for each in found] == list(expected),
            f"deliveries {expected}",
        )


async def follow(
    service: RunningService, provider: ScriptedProvider, url: str, **members: Any
) -> Followed:
    client = service.client(await make_key(service.store, "ada", secret=SECRET))
    job = await accepted(client, provider, webhookUrl=url, **members)
    return Followed(client, job.request_id, job.callback_url)


@pytest.fixture(name="job")
async def followed(service: RunningService, provider: ScriptedProvider, sink: Sink) -> Followed:
    """A job whose webhooks go to `sink`."""
    return await follow(service, provider, sink.url)
