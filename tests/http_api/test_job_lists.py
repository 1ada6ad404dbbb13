"""Lists of jobs: filters, pages, and search by label."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.service import MOVIE, RunningService, listed, submit, wait_for_length

NARRATIVE = {"prompt_list": ["The fox finds a map."], "image_model": "IMAGEN3"}


async def test_a_list_is_filtered(shared_client: httpx.AsyncClient) -> None:
    """By each parameter; store/conformance/test_store_job_lists.py combines them."""
    client = shared_client
    made = []
    for members in (
        {"input": MOVIE | {"prompt": "A Lighthouse"}, "metadata": {"order": "1", "team": "red"}},
        {"input": MOVIE | {"prompt": "100% wool"}, "metadata": {"order": "2", "team": "red"}},
        {"kind": "create_narrative", "input": NARRATIVE, "metadata": {"a b/c": "é"}},
    ):
        made.append(await submit(client, **members))
        await asyncio.sleep(0.002)  # so that creation times differ
    await client.post(made[0]["links"]["cancel"])
    second = datetime.fromisoformat(made[1]["created_at"])
    one, two, three = (job["request_id"] for job in made)
    for query, expected in (
        ({}, [three, two, one]),
        ({"status": "CANCELLED"}, [one]),
        ({"kind": "create_narrative"}, [three]),
        ({"kind": "owner/name"}, []),  # of a provider that may have run before
        ({"provider": "sandbox"}, [three, two, one]),
        ({"provider": "samsar"}, []),
        ({"q": "LIGHT"}, [one]),
        ({"q": "%"}, [two]),
        ({"q": ""}, [three, two, one]),
        ({"created_after": made[1]["created_at"]}, [three]),
        ({"created_before": made[1]["created_at"]}, [one]),
        *(
            (query, expected)
            for part in (timedelta(microseconds=each) for each in (1, 500, 501, 999))
            for query, expected in (
                ({"created_after": (second - part).isoformat()}, [three, two]),
                ({"created_before": (second + part).isoformat()}, [two, one]),
            )
        ),
        ({"created_after": "2020-01-01T00:00:00+02:00"}, [three, two, one]),
        ({"created_before": "2020-01-01"}, []),
        ({"metadata.team": "red"}, [two, one]),
        ({"metadata.team": "red", "metadata.order": "1"}, [one]),
        ({"metadata.a b/c": "é"}, [three]),
    ):
        found = [job["request_id"] for job in await listed(client, "jobs", **query)]
        assert found == expected, query


BAD_QUERIES = [
    *(f"limit={number}" for number in ("0", "201", "x", "-1", "", "1e2", "%D9%A1", "1&limit=2")),
    *(f"cursor={cursor}" for cursor in ("", "x", "job_0~sig", "%00")),
    *("created_after=yesterday", "created_before=", "created_before=1767225600000"),
    *("created_after=1111111111111111111", "created_before=20260102"),
    *("kind=", "kind=create%20song", "kind=a%2F%20b"),
    *("status=completed", "status=", "statuss=COMPLETED"),
    *("metadata.k%00=v", "metadata.k=v%00", "q=" + "x" * 121, "provider=another"),
]


async def test_a_query_that_cannot_be_used_is_400(shared_client: httpx.AsyncClient) -> None:
    for query in BAD_QUERIES:
        answer = await shared_client.get(f"/v1/jobs?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query"), query


async def test_pages_miss_and_repeat_nothing_while_jobs_arrive(
    shared_client: httpx.AsyncClient,
) -> None:
    made = [(await submit(shared_client))["request_id"] for _ in range(7)]
    seen: list[str] = []
    query = {"q": "light", "limit": "3"}
    while True:
        page = (await shared_client.get("/v1/jobs", params=query)).json()
        seen += [job["request_id"] for job in page["jobs"]]
        await submit(shared_client)  # newer than the cursor, so not on a later page
        if page["next_cursor"] is None:
            break
        cursor = query["cursor"] = page["next_cursor"]
        bad = await shared_client.get("/v1/jobs", params={"cursor": cursor[:-1] + "_"})
        assert bad.status_code == (200 if cursor.endswith("_") else 400)
    assert seen == made[::-1]
    full = (await shared_client.get("/v1/jobs?limit=10")).json()
    assert (len(full["jobs"]), full["next_cursor"]) == (10, None)


async def test_a_users_long_reads_go_one_by_one_and_others_do_not_wait(
    shared_service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await shared_service.user("ann"), await shared_service.user("bob")
    jobs, free = shared_service.store.jobs, asyncio.Event()
    read, reading = jobs.list_page, list[int]()

    async def held(user_id: int, *given: Any) -> Any:
        assert user_id not in reading
        reading.append(user_id)
        await free.wait()
        reading.remove(user_id)
        return await read(user_id, *given)

    monkeypatch.setattr(jobs, "list_page", held)
    asked = [asyncio.create_task(client.get("/v1/jobs")) for client in (ann, ann, ann, bob)]
    await wait_for_length(reading, 2, "a read for each user")
    free.set()
    assert {(await each).status_code for each in asked} == {200}


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "label"),
    [
        ("prompt", "A lighthouse", "A lighthouse"),
        ("prompt", "x" * 300, "x" * 120),
        ("prompt", "é" * 121, "é" * 120),
        ("prompt", " two\r\n\n lines\tand\u2028more ", "two lines and more"),
        ("prompt", "w " * 200, "w " * 60),
        ("prompt", "a\0b", "a\ufffdb"),
        ("prompt_list", ["The fox", "finds a map."], "The fox"),
        ("prompt_list", "\nThe fox\nfinds a map.", "The fox"),
    ],
)
async def test_a_label_is_the_beginning_of_the_prompt_on_one_line(
    shared_client: httpx.AsyncClient, name: str, given: object, label: str
) -> None:
    its = (
        {"input": MOVIE | {name: given}}
        if name == "prompt"
        else {"kind": "create_narrative", "input": NARRATIVE | {name: given}}
    )
    job = await submit(shared_client, **its)
    assert (await listed(shared_client, "jobs"))[0]["label"] == job["label"] == label
