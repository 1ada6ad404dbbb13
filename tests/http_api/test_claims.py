"""What becomes of an outcome that is claimed by an unsigned callback."""

from typing import Any

import pytest

from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.scripted_provider import COMPLETED, FAILED, ScriptedProvider


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
