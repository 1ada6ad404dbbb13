"""Who may open a stream, by key or by ticket, how many, and for how long."""

import time

import httpx

from receiver.clock import SystemClock
from tests.http_api.conftest import Start
from tests.http_api.event_stream import event_stream
from tests.support.service import RunningService, eventually, submit


async def test_a_key_has_so_many_streams(start: Start) -> None:
    service = await start(stream_max_per_key=2)
    client, same_user = await service.user(), await service.user()
    async with event_stream(client, "/v1/events"), event_stream(client, "/v1/events"):
        refused = await client.get("/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert int(refused.headers["Retry-After"]) > 0
        ticket = (await client.post("/v1/stream-tickets", json={})).json()
        assert (await service.client().get(ticket["url"])).status_code == 429
        async with event_stream(same_user, "/v1/events"):
            pass

    async def reopened() -> int:
        async with client.stream("GET", "/v1/events") as response:
            return response.status_code

    await eventually(reopened, lambda status: status == 200)


async def test_a_stream_ends_when_its_key_is_revoked(start: Start) -> None:
    service = await start(stream_heartbeat=0.2)
    key = await service.key()
    client, kept = service.client(key), await service.user()
    ticket = (await client.post("/v1/stream-tickets", json={})).json()
    async with (
        event_stream(client, "/v1/events") as stream,
        event_stream(service.client(), ticket["url"]) as by_ticket,
        event_stream(kept, "/v1/events") as other,
    ):
        await service.store.keys.revoke(key[:11], SystemClock().now())
        began = time.monotonic()
        await stream.rest()
        await by_ticket.rest()
        assert time.monotonic() - began < 5
        await submit(kept)
        assert (await other.until(lambda frame: frame.event == "update"))[-1].event == "update"

    nobody = service.client()
    await eventually(lambda: nobody.get(ticket["url"]), lambda answer: answer.status_code == 401)


async def test_a_ticket_is_asked_for_by_id(shared_client: httpx.AsyncClient) -> None:
    for body, status in (({"request_id": 5}, 400), ({"request_id": None}, 400), ([], 400)):
        assert (await shared_client.post("/v1/stream-tickets", json=body)).status_code == status, (
            body
        )
    # A misspelt member would otherwise open the stream of all jobs.
    typo = await shared_client.post("/v1/stream-tickets", json={"requestid": "job_1"})
    assert (typo.status_code, typo.json()["errors"]) == (
        400,
        [{"pointer": "/requestid", "detail": "This member is unknown; did you mean request_id?"}],
    )


async def test_a_ticket_lasts_an_hour(service: RunningService) -> None:
    client, nobody = await service.user(), service.client()
    ticket = (await client.post("/v1/stream-tickets")).json()
    service.clock.ahead_ms = 3_600_000 - 30_000
    async with event_stream(nobody, ticket["url"]):
        pass
    service.clock.ahead_ms += 60_000
    assert (await nobody.get(ticket["url"])).status_code == 401
