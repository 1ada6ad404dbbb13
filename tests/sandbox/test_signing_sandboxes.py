"""The sandboxes of Replicate and fal, through a whole service: every fault ends in an outcome."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.replicate import ReplicateApi
from receiver.sandbox.run import sandbox
from tests.sandbox.conftest import BlockingClock
from tests.support.manual_clock import START
from tests.support.service import (
    eventually,
    history_of,
    job_of,
    metric,
    running_service,
    wait_for_job,
)

ORDERS = {
    "sandbox-replicate": {"kind": "owner/name", "input": {"prompt": "A heron"}},
    "sandbox-fal": {"kind": "fal-ai/flux/dev", "input": {"prompt": "A heron"}},
}
QUICK = {"sandbox_render": 0.2, "poll_first": 0.1, "poll_min": 0.1, "poll_max": 0.2}
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "drop": {"sandbox_drop_callbacks": 1},
    "duplicate": {"sandbox_duplicate_callbacks": 1},
    "fail": {"sandbox_fail_jobs": 1},
    "timeout": {"sandbox_submit_timeouts": 1, "submit_timeout": 0.5},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_ends_in_an_outcome(tmp_path: Path, fault: str) -> None:
    given: dict[str, Any] = {
        "provider": "sandbox-replicate",
        "providers": "sandbox-fal",
        "poll_rate": 100,
        **QUICK,
        **FAULTS[fault],
    }
    if fault != "drop":
        given |= {"poll_first": 60}
    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        for provider, order in ORDERS.items():
            answer = await client.post("/v1/jobs", json={"provider": provider, **order})
            request_id = answer.json()["request_id"]
            job = await wait_for_job(client, request_id, done=True)
            assert job["status"] == ("FAILED" if fault == "fail" else "COMPLETED")
            assert job["evidence"] == ("poll" if fault == "drop" else "callback")
            if fault == "fail":
                assert job["error"]["code"] == "provider_failed"
                assert job["message"] not in (None, "")
                continue
            callbacks = await history_of(client, request_id, "callback")
            assert all(line["verified"] for line in callbacks)
            assert bool(callbacks) is (fault != "drop")
            link = (await client.get(f"/v1/jobs/{request_id}/result")).headers["location"]
            assert (await client.get(link)).headers["content-type"] == "video/webm"
        if fault != "drop":
            for provider in ORDERS:
                calls = f'receiver_status_polls_total{{outcome="reported",provider="{provider}"}}'
                assert await metric(service, calls) == 0


async def test_a_restarted_sandbox_continues_its_jobs_with_its_key(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "provider": "sandbox-fal",
        "sandbox_render": 4.0,  # longer than a restart: a callback due meanwhile is lost
        "poll_first": 60,
        "poll_min": 60,
    }
    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        key = client.headers["API-KEY"]
        order = ORDERS["sandbox-fal"]
        request_id = (await client.post("/v1/jobs", json=order)).json()["request_id"]
        await wait_for_job(client, request_id, phase="accepted")
        port = service.url.rpartition(":")[2]
    async with running_service(tmp_path, port=int(port), **given) as service:
        client = service.client(key)
        job = await wait_for_job(client, request_id, done=True)
        assert (job["status"], job["evidence"]) == ("COMPLETED", "callback")
        (line,) = await history_of(client, request_id, "callback")
        assert line["verified"] is True


@pytest.mark.parametrize("provider", ORDERS)
async def test_a_cancel_reaches_the_sandbox(tmp_path: Path, provider: str) -> None:
    given: dict[str, Any] = {"provider": provider, **QUICK, "sandbox_render": 1.0}
    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        request_id = (await client.post("/v1/jobs", json=ORDERS[provider])).json()["request_id"]
        await wait_for_job(client, request_id, phase="accepted")
        assert (await client.post(f"/v1/jobs/{request_id}/cancel")).status_code == 202
        (line,) = await eventually(
            lambda: history_of(client, request_id, "provider_cancel"), bool, "a cancel passed on"
        )
        assert line["outcome"] == "accepted"
        callbacks = await eventually(
            lambda: history_of(client, request_id, "callback"),
            lambda lines: any(each["verdict"] == "late" for each in lines),
            "the sandbox's callback about it",
        )
        assert all(each["verified"] for each in callbacks)
        assert (await job_of(client, request_id))["error"]["code"] == "canceled_by_user"


@pytest.mark.parametrize(
    ("provider", "looked_up"),
    [("sandbox-replicate", True), ("sandbox-replicate", False), ("sandbox-fal", True)],
)
async def test_a_submission_whose_answer_and_callbacks_are_lost_is_looked_up(
    tmp_path: Path, provider: str, looked_up: bool
) -> None:
    """This needs a provider that lists its jobs, and an operator who has allowed look-ups."""
    given: dict[str, Any] = {
        "provider": provider,
        "look_up_submissions": looked_up,
        "unconfirmed_deadline": 2,
        **QUICK,
        **FAULTS["drop"],
        **FAULTS["timeout"],
    }
    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        request_id = (await client.post("/v1/jobs", json=ORDERS[provider])).json()["request_id"]
        job = await wait_for_job(client, request_id, done=True)
        outcomes = [line["outcome"] for line in await history_of(client, request_id, "submission")]
        if provider == "sandbox-replicate" and looked_up:
            assert (job["status"], job["evidence"]) == ("COMPLETED", "poll")
            assert outcomes == ["unknown", "found"]
        else:
            assert job["error"]["code"] == "submit_outcome_unknown"
            assert outcomes == ["unknown"]
        submissions = f'receiver_submissions_total{{outcome="ambiguous",provider="{provider}"}}'
        assert await metric(service, submissions) == 1


async def test_replicates_sandbox_lists_its_predictions() -> None:
    clock = BlockingClock()
    rules = SandboxRules(render_seconds=7200, seed=1)
    async with (
        sandbox(rules, clock, ReplicateApi) as url,
        httpx.AsyncClient(base_url=f"{url}/v1/", headers={"Authorization": "Bearer any"}) as client,
    ):
        for number in range(205):
            order = {"input": {}, "webhook": f"http://127.0.0.1:1/{number}"}
            await client.post("models/owner/name/predictions", json=order)
            clock.advance(1)

        async def listed(target: str = "predictions", **query: str) -> tuple[list[int], str | None]:
            found = (await client.get(target, params=query or None)).json()
            webhooks = [each["webhook"] for each in found["results"]]
            return [int(each.rpartition("/")[2]) for each in webhooks], found["next"]

        numbers, following = await listed()
        assert numbers == list(range(204, 104, -1))
        assert following is not None
        numbers, following = await listed(following)
        assert following is not None
        assert await listed(following) == (list(range(4, -1, -1)), None)
        since, until = (
            datetime.fromtimestamp(START / 1_000 + second, UTC).isoformat() for second in (3, 5)
        )
        assert await listed(created_after=since, created_before=until) == ([4, 3], None)
        refused = await client.get("predictions", params={"created_after": "soon"})
        assert refused.status_code == 400
        assert await listed(created_after="2038-01-01T00:00:00") == ([], None)
        refused = await client.post("models/a/b/predictions", json={"input": {}, "webhook": 7})
        assert refused.status_code == 422
        client.headers.pop("Authorization")
        assert (await client.get("predictions")).status_code == 401
