"""Places at the provider: the limit, priorities, and what a waiting job and the metrics say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import COMPLETED, ScriptedProvider
from tests.support.service import (
    JOB,
    eventually,
    history_of,
    job_of,
    submit,
    wait_for_job,
    wait_for_metric,
)

POLLS = {"poll_first": 0.05, "poll_min": 0.05, "poll_max": 0.05}
"""A scripted job ends as soon as a test says so."""


async def waiting_of(client: httpx.AsyncClient, job: Mapping[str, Any]) -> Any:
    return (await job_of(client, job["request_id"]))["waiting"]


async def until_waiting(
    client: httpx.AsyncClient, job: Mapping[str, Any], reason: str, ahead: int
) -> dict[str, Any]:
    """What a job says once it waits for this reason."""

    def is_so(seen: Any) -> bool:
        return seen is not None and (seen["reason"], seen["ahead"]) == (reason, ahead)

    return dict(await eventually(lambda: waiting_of(client, job), is_so))


async def test_more_jobs_than_places_wait_in_a_fair_order(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings() | POLLS, jobs_in_flight="samsar=2")
    ada, bob, root = [
        await service.user(name, admin=name == "root") for name in ("ada", "bob", "root")
    ]
    first = [await submit(ada) for _ in range(2)]
    for job in first:
        await wait_for_job(ada, job["request_id"], phase="accepted")
    batch = await submit(ada, priority="batch", metadata={"n": "batch"})
    adas = [await submit(ada, priority="normal", metadata={"n": f"ada{n}"}) for n in range(2)]
    bobs = await submit(bob, metadata={"n": "bob"})

    # Each says why it waits; not in lists, and not once it is under way.
    assert await until_waiting(ada, adas[1], "place", 1) == {"reason": "place", "ahead": 1}
    assert await waiting_of(ada, batch) == {"reason": "place", "ahead": 2}
    assert await waiting_of(bob, bobs) == {"reason": "place", "ahead": 0}
    assert await waiting_of(ada, first[0]) is None
    assert "waiting" not in (await ada.get("/v1/jobs")).json()["jobs"][0]
    assert await places_of(root) == {
        "provider": "samsar",
        "limit": 2,
        "in_flight": 2,
        "waiting": 4,
        "users": [],
    }
    users = [
        {"user": "ada", "in_flight": 2, "waiting": 3},
        {"user": "bob", "in_flight": 0, "waiting": 1},
    ]
    assert (await places_of(root, user="*"))["users"] == users
    assert (await places_of(bob))["users"] == users[1:]
    assert (await ada.get("/v1/places?user=bob")).status_code == 403
    await wait_for_metric(service, 'receiver_jobs_in_flight{provider="samsar"}', 2)
    await wait_for_metric(service, 'receiver_jobs_waiting{provider="samsar"}', 4)

    # The ETag covers it.
    path = f"/v1/jobs/{adas[1]['request_id']}"
    tag = (await ada.get(path)).headers["ETag"]
    assert (await ada.get(path, headers={"If-None-Match": tag})).status_code == 304
    await ada.post(adas[0]["links"]["cancel"])
    answer = await ada.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["waiting"]["ahead"]) == (200, 0)
    assert (await job_of(ada, adas[0]["request_id"]))["error"]["may_have_been_billed"] is False

    # Bob has the fewest in flight; ada's batch job goes last.
    for n, name in enumerate(("bob", "ada1", "batch"), start=3):
        provider.states[f"up-{n - 2}"] = COMPLETED
        await provider.submitted(n)
        owner, job = {"bob": (bob, bobs), "ada1": (ada, adas[1]), "batch": (ada, batch)}[name]
        await wait_for_job(owner, job["request_id"], phase="accepted")
    (entry,) = await history_of(bob, bobs["request_id"], "submission")
    assert (entry["outcome"], entry["waited"]["reason"]) == ("accepted", "place")
    assert entry["waited"]["seconds"] > 0
    assert len(provider.submissions) == 5
    assert "priority" not in provider.submissions[-1].body


async def places_of(client: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await client.get("/v1/places", params=query)
    assert answer.status_code == 200, answer.text
    (place,) = answer.json()["places"]
    return dict(place)


async def test_a_job_that_is_told_later_gives_its_place_back(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings(), jobs_in_flight="samsar=1")
    ada, bob = await service.user("ada"), await service.user("bob")
    answers = [JSONResponse({"message": "Busy"}, 429, {"Retry-After": "600"})]

    async def later_then_accepted(_: object) -> Response:
        return answers.pop() if answers else provider.accept()

    provider.submit = later_then_accepted
    job = await submit(ada)
    await until_waiting(ada, job, "pause", 0)
    seen = await eventually(lambda: waiting_of(ada, job), lambda seen: "detail" in seen)
    history = await history_of(ada, job["request_id"])
    assert seen["detail"] in [line.get("reason") for line in history]

    # The pause of the provider is a second; that job's own is longer, and it takes no place.
    others = await submit(bob)
    assert (await until_waiting(bob, others, "pause", 0))["reason"] == "pause"
    await wait_for_job(bob, others["request_id"], phase="accepted")
    assert (await waiting_of(ada, job))["reason"] == "pause"


async def test_without_a_limit_nothing_waits_for_a_place(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(**provider.settings(), submit_concurrency=1)
    ada = await service.user()
    answered = provider.hold_submissions()
    jobs = [await submit(ada, priority=word) for word in ("normal", "batch", "normal")]
    assert await until_waiting(ada, jobs[2], "turn", 1) == {"reason": "turn", "ahead": 1}
    assert await waiting_of(ada, jobs[1]) == {"reason": "turn", "ahead": 0}
    answered.set()
    for job in jobs:
        await wait_for_job(ada, job["request_id"], phase="accepted")


async def test_a_queued_job_fails_at_the_queue_deadline(
    start: Start, provider: ScriptedProvider
) -> None:
    service = await start(
        **provider.settings(), jobs_in_flight="samsar=1", queue_deadline=1.5, job_deadline=0.2
    )
    ada = await service.user()
    provider.hold_submissions()
    first, second = [await submit(ada) for _ in range(2)]
    seen = await wait_for_job(ada, second["request_id"], status="FAILED")
    assert seen["error"]["code"] == "not_submitted"
    assert seen["error"]["may_have_been_billed"] is False
    assert took(seen) >= 1_500
    assert (await job_of(ada, first["request_id"]))["phase"] == "submitting"


def took(job: Mapping[str, Any]) -> float:
    begin, end = (datetime.fromisoformat(job[name]) for name in ("created_at", "done_at"))
    return (end - begin).total_seconds() * 1_000


@pytest.mark.parametrize("priority", ["low", "", 1, 0, False, ["batch"], {}])
async def test_another_priority_is_refused(client: httpx.AsyncClient, priority: object) -> None:
    answer = await client.post("/v1/jobs", json=JOB | {"priority": priority})
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/priority"]


async def test_samsars_own_api_has_no_priority(
    client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    body = {"input": JOB["input"], "priority": "nonsense"}
    assert (await client.post("/v1/video/create_movie", json=body)).status_code == 200
    assert "priority" not in provider.submissions[0].body
