"""Lists of jobs: filters, pages, and search by label."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.http_api.accepted_job import create_accepted_job
from tests.http_api.conftest import Start
from tests.http_api.scripted_provider import COMPLETED, ScriptedProvider
from tests.support.service import MOVIE, RunningService, listed, submit, wait_for_length

NARRATIVE = {"prompt_list": ["The fox finds a map."], "image_model": "IMAGEN3"}


async def test_a_list_is_filtered(start: Start, provider: ScriptedProvider) -> None:
    """By each parameter alone; store/conformance/test_store_job_lists.py combines them."""
    service = await start(**provider.settings(), confirm_callbacks=False)
    client = await service.user()
    done = await create_accepted_job(client, provider, metadata={"order": "1", "team": "red"})
    await done.send(COMPLETED)
    first = await done.wait_for(done=True)
    await asyncio.sleep(0.002)  # so that creation times differ
    second = await submit(client, metadata={"order": "2", "team": "red"})
    await asyncio.sleep(0.002)
    third = await submit(client, kind="create_narrative", input=NARRATIVE, metadata={"a b/c": "é"})
    one, two, three = (job["request_id"] for job in (first, second, third))

    async def ids(**query: str) -> list[str]:
        return [job["request_id"] for job in await listed(client, "jobs", **query)]

    assert await ids() == [three, two, one]
    assert await ids(status="COMPLETED") == [one]
    assert await ids(status="PENDING") == [three, two]
    assert await ids(kind="create_narrative") == [three]
    assert await ids(kind="owner/name") == [], "of a provider that may have run before"
    assert await ids(created_after=second["created_at"]) == [three]
    assert await ids(created_before=second["created_at"]) == [one]
    made = datetime.fromisoformat(second["created_at"])
    for part in (timedelta(microseconds=each) for each in (1, 500, 501, 999)):
        assert await ids(created_after=(made - part).isoformat()) == [three, two]
        assert await ids(created_before=(made + part).isoformat()) == [two, one]
    assert await ids(created_after="2020-01-01T00:00:00+02:00") == [three, two, one]
    assert await ids(created_before="2020-01-01") == []
    assert await ids(**{"metadata.team": "red"}) == [two, one]
    assert await ids(**{"metadata.team": "red", "metadata.order": "1"}) == [one]
    assert await ids(**{"metadata.a b/c": "é"}) == [three]


BAD_QUERIES = [
    *(f"limit={number}" for number in ("0", "201", "x", "-1", "", "1e2", "%D9%A1", "1&limit=2")),
    *(f"cursor={cursor}" for cursor in ("", "x", "job_0~sig", "%00")),
    *("created_after=yesterday", "created_before=", "created_before=1767225600000"),
    *("created_after=1111111111111111111", "created_before=20260102"),
    *("kind=", "kind=create_song", "kind=a%2Fb%2Fc%2F%2F"),
    *("status=completed", "status=", "statuss=COMPLETED"),
    *("metadata.k%00=v", "metadata.k=v%00"),
]


async def test_a_query_that_cannot_be_used_is_400(shared_client: httpx.AsyncClient) -> None:
    for query in BAD_QUERIES:
        answer = await shared_client.get(f"/v1/jobs?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query"), query


@pytest.mark.parametrize("search", [{}, {"q": "light"}], ids=["all", "searched"])
async def test_pages_miss_and_repeat_nothing_while_jobs_arrive(
    shared_client: httpx.AsyncClient, search: dict[str, str]
) -> None:
    made = [(await submit(shared_client))["request_id"] for _ in range(7)]
    seen: list[str] = []
    query = search | {"limit": "3"}
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


async def submitted(client: httpx.AsyncClient, prompt: str) -> dict[str, Any]:
    return await submit(client, input=MOVIE | {"prompt": prompt})


async def labels(client: httpx.AsyncClient, **query: str) -> list[str | None]:
    return [job["label"] for job in await listed(client, "jobs", **query)]


LABELS = [
    ("A lighthouse", "A lighthouse"),
    ("x" * 300, "x" * 120),
    ("é" * 121, "é" * 120),
    (" two\r\n\n lines\tand\u2028more ", "two lines and more"),
    ("w " * 200, "w " * 60),
    ("a\0b", "a\ufffdb"),
]


async def test_a_label_is_the_beginning_of_the_prompt_on_one_line(
    shared_client: httpx.AsyncClient,
) -> None:
    for prompt, label in LABELS:
        assert (await submitted(shared_client, prompt))["label"] == label
    for prompts in (["The fox", "finds a map."], "\nThe fox\nfinds a map."):
        given = NARRATIVE | {"prompt_list": prompts}
        narrative = await submit(shared_client, kind="create_narrative", input=given)
        assert narrative["label"] == "The fox"
    expected = ["The fox", "The fox", *(label for _, label in reversed(LABELS))]
    assert await labels(shared_client) == expected


async def test_jobs_are_found_by_label_and_provider(shared_client: httpx.AsyncClient) -> None:
    for prompt in ("A Lighthouse", "100% wool", "A light_house"):
        await submitted(shared_client, prompt)
    await submit(shared_client, kind="create_narrative", input=NARRATIVE)

    assert await labels(shared_client, q="LIGHT") == ["A light_house", "A Lighthouse"]
    assert await labels(shared_client, q="t_h") == ["A light_house"]
    assert await labels(shared_client, q="%") == ["100% wool"]
    assert await labels(shared_client, q="light", kind="create_narrative") == []
    assert len(await labels(shared_client, q="")) == 4
    assert len(await labels(shared_client, provider="sandbox")) == 4
    assert await labels(shared_client, provider="samsar", q="light") == []
    for query in ({"q": "x" * 121}, {"provider": "another"}):
        refused = await shared_client.get("/v1/jobs", params=query)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_query")
