"""`/v1/holds`: jobs held after the provider said "later", listed and released by admins."""

from typing import Any

from receiver.domain.serialization import timestamp
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import ScriptedProvider, answering
from tests.support.service import (
    RunningService,
    eventually,
    history_of,
    listed,
    metric,
    submit,
    wait_for_job,
    wait_for_metric,
)

METRIC = 'receiver_submissions_held_until_timestamp_seconds{provider="samsar"}'


async def held(service: RunningService, provider: ScriptedProvider) -> tuple[str, dict[str, Any]]:
    """A job to which the provider said "later", and the hold that followed."""
    provider.submit = answering(429, {"message": "Slow down."}, **{"Retry-After": "40"})
    job = await submit(await service.user("bob"))
    root = await service.user("root", admin=True)
    (hold,) = await eventually(lambda: listed(root, "holds"), bool, "a hold")
    return str(job["request_id"]), hold


async def test_a_hold_is_shown_ended_and_measured(
    service: RunningService, provider: ScriptedProvider
) -> None:
    root = await service.user("root", admin=True)
    assert await listed(root, "holds") == []

    job_id, hold = await held(service, provider)

    now = service.clock.now()
    assert hold == {
        "provider": "samsar",
        "user": None,
        "until": hold["until"],
        "request_id": job_id,
        "status_code": 429,
    }
    assert str(timestamp(now + 20_000)) < hold["until"] <= str(timestamp(now + 40_000))
    assert await metric(service, METRIC) > now / 1_000

    provider.submit = None
    bob = await service.user("bob")
    waiting = await submit(bob)
    for _ in range(2):
        assert (await root.delete("/v1/holds/samsar")).status_code == 204
    await wait_for_job(bob, waiting["request_id"], phase="accepted")
    assert await listed(root, "holds") == []

    await wait_for_metric(service, METRIC, 0)


async def test_a_provider_without_holds(shared_service: RunningService) -> None:
    root = await shared_service.user("root", admin=True)
    assert (await root.delete("/v1/holds/sandbox")).status_code == 204
    assert (await root.delete("/v1/holds/nobody")).status_code == 404
    refused = await root.get("/v1/holds?user=bob")
    assert refused.status_code == 400
    assert "no query parameters" in refused.json()["detail"]


async def test_a_failed_connection_makes_no_hold(start: Start) -> None:
    service = await start(
        provider="samsar", samsar_api_key="key", samsar_base_url="http://127.0.0.1:9/"
    )
    bob, root = await service.user("bob"), await service.user("root", admin=True)
    job = await submit(bob)

    await eventually(
        lambda: history_of(bob, job["request_id"]), lambda lines: "not_sent" in str(lines)
    )
    assert await listed(root, "holds") == []
