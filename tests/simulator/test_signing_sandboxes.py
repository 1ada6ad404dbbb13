"""The sandboxes of Replicate and fal, through a whole service: every fault ends in an outcome."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.clock import SystemClock
from receiver.providers.fal.simulator import FalApi
from receiver.providers.replicate.simulator import ReplicateApi
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
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


@pytest.mark.parametrize("drop", [0, 1])
async def test_a_failed_job_of_fal_says_which_input_was_wrong(tmp_path: Path, drop: int) -> None:
    """However the failure was learned: by a webhook, or, if all are lost, by a poll."""
    given: dict[str, Any] = {"provider": "sandbox-fal", "sandbox_drop_callbacks": drop, **QUICK}
    if not drop:
        given["poll_first"] = 60
    async with running_service(tmp_path, sandbox_fail_jobs=1, **given) as service:
        client = await service.user()
        request = (await client.post("/fal/fal-ai/flux/dev", json={"prompt": "A heron"})).json()
        job = await wait_for_job(client, request["request_id"], done=True)
        shown = await client.get(request["response_url"])

    assert job["evidence"] == ("poll" if drop else "callback")
    reason = "The video model gave up on this prompt."
    assert job["message"] == f"Invalid status code: 422: body.prompt: {reason}"
    (fault,) = shown.json()["detail"]
    assert (shown.status_code, fault["loc"], fault["msg"]) == (422, ["body", "prompt"], reason)


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
    ("api", "path", "body", "status", "answer"),
    [
        (ReplicateApi, "/v1/predictions", {}, 401, {"title": "Unauthenticated", "status": 401}),
        (FalApi, "/fal-ai/flux", {}, 401, {}),
        (ReplicateApi, "/v1/predictions", {"input": {}}, 422, {"detail": "version is required"}),
        (ReplicateApi, "/v1/models/a/b/predictions", {"input": 1}, 422, {"status": 422}),
        (ReplicateApi, "/v1/models/a/b/predictions", {"input": {}, "webhook": 7}, 422, {}),
        (ReplicateApi, "/v1/models/a/b/predictions", {"input": {}, "no": 1}, 422, {}),
    ],
)
async def test_a_refusal_has_the_provider_s_shape(
    api: type[ReplicateApi | FalApi],
    path: str,
    body: dict[str, Any],
    status: int,
    answer: dict[str, Any],
) -> None:
    key = {"Authorization": "Bearer any"} if status != 401 else {}
    async with (
        simulator(SimulatorRules(), SystemClock(), api()) as url,
        httpx.AsyncClient(base_url=url, headers=key, trust_env=False) as client,
    ):
        refused = await client.post(path, json=body)
    assert refused.status_code == status
    assert refused.json()["detail"]
    assert refused.json().items() >= answer.items()
