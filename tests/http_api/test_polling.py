"""Status calls: with every callback lost, each job still gets its outcome."""

from typing import Any

import pytest

from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import COMPLETED, ScriptedProvider, refusing_status
from tests.support.service import (
    RunningService,
    job_of,
    submit,
    wait_for_job,
)

QUICK = {"poll_first": 0.05, "poll_min": 0.05, "poll_max": 0.2}


@pytest.fixture
async def service(provider: ScriptedProvider, start: Start) -> RunningService:
    """A service that polls very often."""
    return await start(**provider.settings() | QUICK)


@pytest.mark.parametrize(
    ("state", "code"),
    [({"status": "IN_PROGRESS"}, "deadline_exceeded"), ({"status": "COMPLETED"}, "result_missing")],
)
async def test_a_deadline_needs_an_answer_of_the_provider(
    start: Start, provider: ScriptedProvider, state: dict[str, Any], code: str
) -> None:
    service = await start(**provider.settings() | QUICK, job_deadline=60)
    client = await service.user()
    provider.status = refusing_status(500)
    request_id = (await submit(client))["request_id"]
    await wait_for_job(client, request_id, phase="accepted")
    # Without an answer, the job goes on.
    service.clock.ahead_ms = 61_000
    await provider.asked(len(provider.status_calls) + 2)
    assert not (await job_of(client, request_id))["done"]
    provider.status = None
    provider.states["up-1"] = state
    failed = await wait_for_job(client, request_id, done=True)
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", code)
    assert failed["error"]["may_have_been_billed"] is True
    # It is still polled, and the provider's own outcome corrects it.
    provider.states["up-1"] = COMPLETED
    corrected = await wait_for_job(client, request_id, status="COMPLETED")
    assert corrected["error"] is None
