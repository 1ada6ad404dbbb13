"""A provider at its worst, and what its users see of it: each job, once, to its end."""

import asyncio
from typing import Any

from tests.http_api.conftest import Start
from tests.http_api.event_stream import event_stream
from tests.http_api.relay_sink import relay_sink
from tests.support.service import JOB, MOVIE, eventually, make_key, told_of

FINAL = ("COMPLETED", "FAILED")
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


async def test_every_job_comes_to_its_end_and_is_told_once_in_order(start: Start) -> None:
    service = await start(
        sandbox_drop_callbacks=0.4,
        sandbox_duplicate_callbacks=0.4,
        sandbox_fail_jobs=0.2,
        sandbox_submit_timeouts=0.2,
        submit_timeout=0.5,
        unconfirmed_deadline=2,
        poll_first=0.2,
        poll_min=0.1,
        poll_max=0.4,
        poll_rate=200,
        relay_allow_nets="127.0.0.0/8",
        relay_allow_http=True,
        relay_schedule="0,0.1,0.1",
    )
    client = service.client(await make_key(service.store, "ada", secret=SECRET))
    async with relay_sink() as sink, event_stream(client, "/v1/events") as stream:
        await stream.events(1)
        answers = await asyncio.gather(
            *(client.post("/v1/jobs", json=JOB | {"webhookUrl": sink.url}) for _ in range(15)),
            *(
                client.post("/v1/video/create_movie", json={"input": MOVIE, "webhookUrl": sink.url})
                for _ in range(15)
            ),
        )
        ids = {answer.json()["request_id"] for answer in answers}
        assert len(ids) == 30

        finished: dict[str, dict[str, Any]] = {}
        seqs: dict[str, list[int]] = {request_id: [] for request_id in ids}
        while len(finished) < 30:
            (frame,) = await stream.events(1)
            job = frame.data
            seqs[job["request_id"]].append(job["seq"])
            if job["done"]:
                finished[job["request_id"]] = job
        assert all(seen == list(range(1, len(seen) + 1)) for seen in seqs.values())

        codes = {job["error"]["code"] for job in finished.values() if job["error"]}
        assert codes <= {"provider_failed", "submit_outcome_unknown"}
        for request_id, last in finished.items():
            now = await told_of(client, request_id)
            assert now["done"]
            assert now == last or last["error"]["code"] == "submit_outcome_unknown"

        async def told_the_end() -> set[str]:
            bodies = [message.verified(SECRET) for message in sink.messages]
            return {body["request_id"] for body in bodies if body["status"] in FINAL}

        await eventually(told_the_end, lambda seen: seen == ids)
        by_job: dict[str, list[int]] = {}
        for message in sink.messages:
            body = message.verified(SECRET)
            by_job.setdefault(body["request_id"], []).append(body["seq"])
        assert all(seen == sorted(set(seen)) for seen in by_job.values())
