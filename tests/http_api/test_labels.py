"""Labels and inputs of jobs, and lists filtered by label."""

from typing import Any

import httpx

from tests.http_api.conftest import SHARED_LOOP
from tests.http_api.event_stream import event_stream
from tests.support.service import MOVIE, job_of, submit

NARRATIVE = {"prompt_list": ["The fox finds a map."], "image_model": "IMAGEN3"}


pytestmark = SHARED_LOOP


async def submitted(client: httpx.AsyncClient, prompt: str) -> dict[str, Any]:
    return await submit(client, input=MOVIE | {"prompt": prompt})


async def labels(client: httpx.AsyncClient, **query: str) -> list[str | None]:
    answer = await client.get("/v1/jobs", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["next_cursor"] is None
    return [job["label"] for job in answer.json()["jobs"]]


LABELS = [
    ("A lighthouse", "A lighthouse"),
    ("x" * 300, "x" * 120),
    ("é" * 121, "é" * 120),
    (" two\r\n\n lines\tand\u2028more ", "two lines and more"),
    ("w " * 200, "w " * 60),
    ("a\0b", "a\ufffdb"),
]


async def test_a_label_is_the_beginning_of_the_prompt_on_one_line(
    visitor: httpx.AsyncClient,
) -> None:
    for prompt, label in LABELS:
        assert (await submitted(visitor, prompt))["label"] == label
    assert await labels(visitor) == [label for _, label in reversed(LABELS)]


async def test_without_a_prompt_there_is_no_label(visitor: httpx.AsyncClient) -> None:
    job = await submit(visitor, kind="create_narrative", input=NARRATIVE)
    assert job["label"] is None
    assert (await job_of(visitor, job["request_id"]))["input"] == NARRATIVE


async def test_only_a_single_job_shows_its_input(visitor: httpx.AsyncClient) -> None:
    body_input = MOVIE | {"prompt": "Paper boats", "more": {"of": ["mine", 1, None]}}
    made = await submit(visitor, input=body_input)
    path = f"/v1/jobs/{made['request_id']}"
    assert "input" not in (await visitor.post(path + "/cancel")).json()
    assert (await visitor.get(path)).json()["input"] == body_input
    assert "input" not in made
    assert "input" not in (await visitor.get("/v1/jobs")).json()["jobs"][0]
    async with event_stream(visitor, path + "/events") as stream:
        (snapshot,) = await stream.events(1)
    assert "input" not in snapshot.data
    assert snapshot.data["label"] == "Paper boats"


async def test_jobs_are_found_by_label_and_provider(visitor: httpx.AsyncClient) -> None:
    for prompt in ("A Lighthouse", "100% wool", "A light_house"):
        await submitted(visitor, prompt)
    await submit(visitor, kind="create_narrative", input=NARRATIVE)

    assert await labels(visitor, q="LIGHT") == ["A light_house", "A Lighthouse"]
    assert await labels(visitor, q="t_h") == ["A light_house"]
    assert await labels(visitor, q="%") == ["100% wool"]
    assert await labels(visitor, q="light", kind="create_narrative") == []
    assert len(await labels(visitor, q="")) == 4
    assert len(await labels(visitor, provider="sandbox")) == 4
    assert await labels(visitor, provider="samsar", q="light") == []
    for query in ({"q": "x" * 121}, {"provider": "another"}):
        refused = await visitor.get("/v1/jobs", params=query)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_query")
