"""What becomes of an outcome that is claimed by an unsigned callback."""

import asyncio
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import COMPLETED, FAILED, ScriptedProvider, refusing_status

RUNNING = {"status": "IN_PROGRESS", "progress": 30}


@pytest.mark.parametrize("body", [COMPLETED, FAILED, {"status": "CANCELLED"}])
async def test_a_claim_counts_once_it_is_confirmed(
    provider: ScriptedProvider, job: AcceptedJob, body: dict[str, Any]
) -> None:
    provider.states["up-1"] = body
    await job.send(body)
    finished = await job.wait_for(done=True)
    assert (finished["status"], finished["evidence"]) == (body["status"], "callback")
    (line,) = await job.wait_for_verdicts("confirmed")
    assert line["confirmed"] is True
    assert provider.status_calls == ["up-1"]


async def test_a_forged_claim_is_denied(provider: ScriptedProvider, job: AcceptedJob) -> None:
    await job.send(FAILED)
    (line,) = await job.wait_for_verdicts("denied")
    assert line["evidence"] == "poll"
    seen = await job.document()
    assert (seen["status"], seen["phase"], seen["error"]) == ("PENDING", "accepted", None)
    # The next scheduled poll is a minute away (POLL_MIN), so this call is the confirmation.
    assert provider.status_calls == ["up-1"]


async def test_a_claim_received_during_a_status_call_needs_another_call(
    provider: ScriptedProvider, job: AcceptedJob
) -> None:
    """The answer to a call that began before the second claim decides only the first."""
    release = provider.hold_status()
    await job.send(FAILED)
    await provider.asked(1)
    await job.send(COMPLETED)
    provider.states["up-1"] = COMPLETED
    release.set()
    assert (await job.wait_for(done=True))["status"] == "COMPLETED"
    await job.wait_for_verdicts("denied", "confirmed")
    assert len(provider.status_calls) == 2


def long_result(name: str) -> dict[str, Any]:
    links = {"videoUrl": f"https://a.example/{name}", "preview": f"https://a.example/{name}.png"}
    return {"status": "COMPLETED", "result": {**links, "log": name * 20_000}}


@pytest.mark.parametrize("first_is_denied", [False, True])
async def test_the_result_of_the_claim_that_is_trusted_is_shown(
    start: Start, provider: ScriptedProvider, first_is_denied: bool
) -> None:
    release = asyncio.Event()
    settings = provider.settings() | {"poll_min": 0.1, "poll_max": 0.2}
    service = await start(**settings, confirm_timeout=60)
    job = await create_accepted_job(service, provider)
    refused = refusing_status(500)

    async def status(request_id: str) -> Response:
        await release.wait()
        provider.status = refused
        return JSONResponse(RUNNING) if first_is_denied else await refused(request_id)

    provider.status = status
    await job.send(long_result("first"))
    await provider.asked(1)
    await job.send(long_result("second"))
    release.set()
    await job.wait_for_verdicts("denied" if first_is_denied else "claimed", "claimed")
    await provider.asked(3)  # so a call for the second claim has failed
    service.clock.ahead_ms = 61_000
    trusted = long_result("second" if first_is_denied else "first")["result"]
    done = await job.wait_for(done=True)
    shown = done["result"]
    (line,) = [each for each in await job.callbacks() if each["verdict"] == "applied"]
    assert (done["evidence"], line["confirmed"]) == ("callback", False)
    assert shown == {"videoUrl": trusted["videoUrl"], "truncated": True}
    answer = await job.client.get(f"{job.path}/result")
    if first_is_denied:  # only the first result was stored whole
        assert answer.headers["location"] == trusted["videoUrl"]
    else:
        assert answer.json() == trusted
