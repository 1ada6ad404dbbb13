"""A provider that was away is asked again by single probes, whoever is due or not (contract 8)."""

from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider, refusing_status
from tests.support.service import eventually, job_when, submit

COMPLETED = {"status": "COMPLETED", "result": {"videoUrl": "https://cdn.example/v.mp4"}}


async def test_a_provider_that_is_back_is_heard_of_before_any_job_is_due(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(
        **provider.settings() | {"poll_first": 0.05, "poll_min": 600, "poll_max": 600}
    )
    provider.status = refusing_status(401)
    client = await service.user()
    job = await submit(client)

    async def calls() -> int:
        return len(provider.status_calls)

    await eventually(calls, lambda count: count >= 2, "a first call, and a probe")
    provider.status = None
    provider.states.default_factory = lambda: dict(COMPLETED)
    await job_when(client, job["request_id"], status="COMPLETED")
