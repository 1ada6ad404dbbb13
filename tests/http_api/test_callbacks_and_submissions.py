"""Callbacks of a job whose submission has no answer, or none yet."""

import pytest
from starlette.responses import JSONResponse, Response

from tests.http_api.accepted_job import AcceptedJob, sent
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import (
    COMPLETED,
    ScriptedProvider,
    Submission,
    answering,
    call_back,
)
from tests.support.service import RunningService, history_of

RUNNING = {"status": "IN_PROGRESS", "progress": 30}


async def test_a_callback_that_outruns_the_answer_is_applied(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings(), confirm_callbacks=False)

    async def calls_back_first(submission: Submission) -> Response:
        answer = await call_back(submission.webhook_url, COMPLETED | {"request_id": "up-1"})
        assert answer.json() == {"status": "accepted"}
        return JSONResponse({"request_id": "up-1"})

    provider.submit = calls_back_first
    job = await sent(await service.user(), provider)
    assert (await job.when(done=True))["status"] == "COMPLETED"
    assert (await job.when(provider_request_id="up-1"))["done"]


@pytest.mark.parametrize("confirm", [True, False])
async def test_a_callback_heals_an_unconfirmed_submission(
    start: Start, provider: ScriptedProvider, confirm: bool
) -> None:
    service = await start(**provider.settings(), confirm_callbacks=confirm)
    provider.submit = answering(500, {})
    job = await sent(await service.user(), provider)
    await job.when(phase="submit_unconfirmed")
    await job.send(RUNNING | {"request_id": "learned"})
    healed = await job.when(phase="rendering")
    assert (healed["provider_request_id"], healed["evidence"]) == ("learned", "callback")
    provider.states["learned"] = COMPLETED
    await job.send(COMPLETED | {"request_id": "learned"})
    assert (await job.when(done=True))["status"] == "COMPLETED"
    assert len(provider.submissions) == 1


async def test_an_id_of_another_job_is_a_conflict_even_before_the_own_is_known(
    service: RunningService, provider: ScriptedProvider, job: AcceptedJob
) -> None:
    provider.submit = answering(500, {})
    other = await sent(job.client, provider)
    await other.when(phase="submit_unconfirmed")
    await other.send(COMPLETED | {"request_id": "up-1"}, 409)
    await other.verdicts("conflict")
    assert (await other.when(done=False))["phase"] == "submit_unconfirmed"


async def test_the_history_shows_an_id_that_another_job_has(
    provider: ScriptedProvider, job: AcceptedJob
) -> None:
    provider.submit = answering(200, {"request_id": "up-1"})
    other = await sent(job.client, provider)
    await other.when(phase="accepted", provider_request_id=None)
    (line,) = await history_of(other.client, other.request_id, "submission")
    assert (line["outcome"], line["provider_request_id"]) == ("accepted", None)
    assert line["reason"] == "the id up-1 belongs to another job"
