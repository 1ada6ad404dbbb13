"""Jobs as their users see them."""

import re
import time
from typing import Any

import httpx

from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import (
    COMPLETED,
    ScriptedProvider,
    answering,
    never,
)
from tests.support.documented import assert_problem
from tests.support.service import (
    JOB,
    RunningService,
    job_without_input,
    listed,
    submit,
    wait_for_job,
)

RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


# --- making ---------------------------------------------------------------------------------------


async def test_a_job_is_answered_before_the_provider_is_called(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.submit = never
    answer = await client.post("/v1/jobs", json=JOB | {"metadata": {"a": "b"}})
    assert answer.status_code == 202
    job = answer.json()
    request_id = job["request_id"]
    assert re.fullmatch(r"job_[0-9A-HJKMNP-TV-Z]{26}", request_id)
    assert answer.headers["Location"] == f"/v1/jobs/{request_id}"
    assert "Preference-Applied" not in answer.headers
    assert re.fullmatch(RFC3339, job["created_at"])
    assert job == {
        "request_id": request_id,
        "user": "ada",
        "provider": "samsar",
        "provider_request_id": None,
        "kind": "create_movie",
        "label": "A lighthouse at dawn",
        "status": "PENDING",
        "phase": "queued",
        "done": False,
        "progress": None,
        "seq": 1,
        "result": None,
        "message": None,
        "error": None,
        "provider_status": None,
        "evidence": None,
        "metadata": {"a": "b"},
        "cost": None,
        "archive": [],
        "created_at": job["created_at"],
        "updated_at": job["created_at"],
        "done_at": None,
        "links": {
            "self": f"/v1/jobs/{request_id}",
            "events": f"/v1/jobs/{request_id}/events",
            "history": f"/v1/jobs/{request_id}/history",
            "cancel": f"/v1/jobs/{request_id}/cancel",
        },
    }
    await wait_for_job(client, request_id, phase="submitting")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kind": "create_song"}, "/kind"),
    ({"kind": None}, "/kind"),
    ({"kind": ["create_movie"]}, "/kind"),
    ({"provider": "samsar"}, "/provider"),  # this provider is not configured
    ({"provider": 5}, "/provider"),
    ({"input": "x"}, "/input"),
    ({"input": None}, "/input"),
    ({"webhookEvents": "COMPLETED"}, "/webhookEvents"),
    ({"metadata": []}, "/metadata"),
    ({"metadata": {str(n): "" for n in range(17)}}, "/metadata"),
    ({"metadata": {"n" * 65: ""}}, "/metadata/" + "n" * 64),
    ({"metadata": {"n": "v" * 513}}, "/metadata/n"),
    ({"webhookUrl": "https://169.254.169.254/"}, "/webhookUrl"),  # more in tests/webhooks
]


async def test_a_local_address_is_refused_with_the_settings_that_would_allow_it(
    shared_service: RunningService,
) -> None:
    local = {"webhookUrl": "http://127.0.0.1:3000/hooks"}
    answer = await (await shared_service.user()).post("/v1/jobs", json=JOB | local)
    assert answer.status_code == 400
    scheme, host = answer.json()["errors"]
    assert scheme["pointer"] == host["pointer"] == "/webhookUrl"
    assert "RECEIVER_RELAY_ALLOW_HTTP=true" in scheme["detail"]
    assert "RECEIVER_RELAY_ALLOW_NETS" in host["detail"]


async def test_what_cannot_be_a_job_is_refused(shared_client: httpx.AsyncClient) -> None:
    for members, pointer in REFUSED:
        answer = await shared_client.post("/v1/jobs", json=JOB | members)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), members
        assert answer.json()["errors"][0]["pointer"] == pointer
    with_nul = await shared_client.post("/v1/jobs", json=JOB | {"metadata": {"n\0": ""}})
    assert with_nul.json()["detail"] == "A metadata name has 1 to 64 characters, without NUL."
    assert (await shared_client.get("/v1/jobs")).json()["jobs"] == []


async def test_the_widest_that_is_taken(shared_client: httpx.AsyncClient) -> None:
    metadata = {f"{n:064}": "é" * 512 for n in range(16)}
    job = await submit(
        shared_client,
        provider="sandbox",
        metadata=metadata,
        webhookUrl="https://example.com:8443/" + "x" * 2_023,
        webhookEvents=["IN_PROGRESS", "progress", "COMPLETED", "FAILED", "CANCELLED"],
    )
    assert job["metadata"] == metadata
    await submit(shared_client, metadata=None, webhookUrl=None, webhookEvents=None)


# --- waiting --------------------------------------------------------------------------------------


async def test_prefer_wait_holds_the_answer_until_the_job_is_done(
    shared_client: httpx.AsyncClient,
) -> None:
    """At most for a minute; tests/crash/test_sigterm.py stops the service meanwhile."""
    for prefer, applied in (
        ('a="b, c", wait=20', "wait=20"),
        ("wait=99999999999999999999", "wait=60"),
        *((bad, None) for bad in ("wait", "wait=", "wait=-1", "wait=x", "wait=1.5", 'a="wait=1"')),
    ):
        answer = await shared_client.post("/v1/jobs", json=JOB, headers={"Prefer": prefer})
        assert (answer.status_code, answer.headers.get("Preference-Applied")) == (202, applied)
        assert answer.json()["done"] is (applied is not None)


async def test_prefer_wait_ends_with_the_job_as_it_is(client: httpx.AsyncClient) -> None:
    began = time.monotonic()
    answer = await client.post("/v1/jobs", json=JOB, headers={"Prefer": "wait=1"})
    assert 0.9 < time.monotonic() - began < 20  # less than the longest wait
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=1")
    assert answer.json()["phase"] == "accepted"


# --- reading --------------------------------------------------------------------------------------


async def test_a_job_is_read_again_only_where_it_changed(trusting_job: AcceptedJob) -> None:
    job, client, path = trusting_job, trusting_job.client, trusting_job.path
    first = await client.get(path)
    tag = first.headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    assert int(first.headers["Retry-After"]) > 0
    for matching in (tag, f"W/{tag}", f'"0", {tag}', "*"):
        same = await client.get(path, headers={"If-None-Match": matching})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert (await client.get(path, headers={"If-None-Match": '"0"'})).status_code == 200

    await job.send(COMPLETED)
    await job.wait_for(done=True)
    after = await client.get(path, headers={"If-None-Match": tag})
    assert after.status_code == 200
    assert "Retry-After" not in after.headers
    assert after.json()["done_at"] is not None


# --- cancelling -----------------------------------------------------------------------------------


async def test_a_cancelled_job_stays_so_whatever_the_provider_says(job: AcceptedJob) -> None:
    """tests/domain/lifecycle_table.txt has a cancel in every phase."""
    answer = await job.cancel()
    assert answer.status_code == 202
    cancelled = answer.json()
    assert (cancelled["status"], cancelled["phase"]) == ("CANCELLED", "finished")
    assert (cancelled["done"], cancelled["evidence"]) == (True, "user")
    error = cancelled["error"]
    assert (error["code"], error["retryable"]) == ("canceled_by_user", False)
    assert error["may_have_been_billed"] is True

    await job.send(COMPLETED)
    await job.wait_for_verdicts("late")
    assert await job_without_input(job.client, job.request_id) == cancelled
    again = await job.cancel()
    assert (again.status_code, again.json()["code"]) == (409, "job_finished")
    assert again.json()["job"] == cancelled


async def test_what_a_user_may_store_is_limited(start: Start, provider: ScriptedProvider) -> None:
    service = await start(**provider.settings(), user_storage=100_000)
    ann, bob = await service.user("ann"), await service.user("bob")
    large = JOB["input"] | {"note": "x" * 90_000}
    await submit(ann, input=large)
    headers = {"Idempotency-Key": "k"}
    refused = await ann.post("/v1/jobs", json=JOB | {"input": large}, headers=headers)
    problem = assert_problem(refused, 429, "storage_full")
    assert "USER_STORAGE" in problem["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert len(await listed(ann, "jobs")) == 1
    await submit(bob, input=large)
    await submit(ann)


async def test_a_large_input_is_not_kept_once_its_job_was_refused(
    service: RunningService, client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    provider.submit = answering(422, {"message": "No."})
    for size, is_kept in ((10, True), (70_000, False)):
        given = JOB["input"] | {"note": "x" * size}
        made = await submit(client, input=given)
        job = await wait_for_job(client, made["request_id"], done=True)
        assert job["error"]["code"] == "provider_refused"
        assert job["input"] == (given if is_kept else None)
