"""Another user's key finds nothing on any route that names something. The tests come from the route
table, so that no new route is forgotten."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from receiver.http_api.credentials import (
    ADMIN_KEY,
    CALLBACK_TOKEN,
    KEY_OR_TICKET,
    PUBLIC,
    Operation,
)
from receiver.http_api.routes import API
from receiver.providers.samsar.routes import ROUTES
from tests.http_api.relay_sink import relay_sink
from tests.support.service import (
    JOB,
    RunningService,
    eventually,
    listed,
    running_service,
    submit,
    wait_for_job,
)

ASKING = [row for row in (*API, *ROUTES) if row.credential not in (PUBLIC, CALLBACK_TOKEN)]
BY_QUERY_OR_BODY = {"/v1/video/status", "/v1/stream-tickets"}
"""These name a job outside their path; each has a test of its own below."""
FOR_ADMINS = {row.path for row in (*API, *ROUTES) if row.credential is ADMIN_KEY}
"""What they name belongs to no user; see also test_admins in tests/http_api."""
BY_PATH = [row for row in ASKING if "{" in row.path and row.path not in FOR_ADMINS]
OF_THE_CALLER = {
    "/session/secret",
    "/v1/video/create_movie",
    "/v1/video/create_narrative",
    "/v1/jobs",
    "/v1/events",
    "/v1/deliveries",
    "/v1/deliveries/retry",
    "/v1/webhook-tests",
    "/v1/places",
    "/v1/spend",
    "/v1/budgets",
    "/v1/statistics",
}
"""These name nothing: they show or create what belongs to the caller."""

ADMIN = {
    ("GET", "/v1/jobs/{job_id}"): 200,
    ("GET", "/v1/jobs/{job_id}/history"): 200,
    ("GET", "/v1/jobs/{job_id}/result"): 302,
    ("GET", "/v1/jobs/{job_id}/events"): 200,
    ("POST", "/v1/jobs/{job_id}/cancel"): 403,
    ("GET", "/v1/deliveries/{delivery_id}"): 200,
    ("POST", "/v1/deliveries/{delivery_id}/retry"): 202,
}
"""The status for an admin who names what belongs to another user."""


def test_every_route_that_asks_for_a_key_is_in_the_matrix() -> None:
    named = {row.path for row in BY_PATH}
    assert {row.path for row in ASKING} == named | FOR_ADMINS | BY_QUERY_OR_BODY | OF_THE_CALLER
    assert {(row.method, row.path) for row in BY_PATH} == set(ADMIN)


@dataclass
class World:
    """A service with a finished job of the user ada, and its delivered webhook."""

    service: RunningService
    ada: httpx.AsyncClient
    bob: httpx.AsyncClient
    admin: httpx.AsyncClient
    names: dict[str, str]

    def path(self, row: Operation[Any]) -> str:
        return row.path.format_map(self.names)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with (
        relay_sink() as hook,
        running_service(
            tmp_path_factory.mktemp("shared"),
            relay_allow_http=True,
            relay_allow_nets="127.0.0.1/32",
            sandbox_render=3_600,
            sandbox_drop_callbacks=1,
            poll_first=0.1,
            poll_min=0.1,
            poll_max=0.2,
        ) as service,
    ):
        ada, bob = await service.user("ada"), await service.user("bob")
        admin = await service.user("root", admin=True)
        job = await submit(ada, webhookUrl=hook.url, metadata={"secret": "of ada"})
        await wait_for_job(ada, job["request_id"], phase="accepted")
        service.clock.skip(3_600)
        await wait_for_job(ada, job["request_id"], status="COMPLETED")

        delivered = await eventually(lambda: listed(ada, "deliveries", state="delivered"), bool)
        names = {
            "job_id": job["request_id"],
            "delivery_id": delivered[0]["id"],
            "provider": "sandbox",
            "prefix": "rk_none",
        }
        yield World(service, ada, bob, admin, names)


async def _status(client: httpx.AsyncClient, method: str, path: str, **given: Any) -> int:
    """The status of an answer; a stream is closed at once."""
    async with client.stream(method, path, **given) as answer:
        return answer.status_code


async def test_by_path(shared: World) -> None:
    unknown = dict.fromkeys(shared.names, "job_" + "0" * 26)
    for row in BY_PATH:
        other = await shared.bob.request(row.method, shared.path(row))
        nothing = await shared.bob.request(row.method, row.path.format_map(unknown))
        assert (other.status_code, nothing.status_code) == (404, 404), row
        assert other.json() == nothing.json(), "another user's looks like one that does not exist"
    for row in BY_PATH:
        status = await _status(shared.admin, row.method, shared.path(row))
        assert status == ADMIN[row.method, row.path], row
    for row in BY_PATH:
        status = await _status(shared.ada, row.method, shared.path(row))
        assert status not in (400, 401, 403, 404), row


async def test_what_is_for_admins(shared: World) -> None:
    rows = [row for row in (*API, *ROUTES) if row.credential is ADMIN_KEY]
    assert len(rows) == 5
    for row in rows:
        refused = await shared.bob.request(row.method, shared.path(row))
        assert (refused.status_code, refused.json()["code"]) == (403, "admin_only"), row


async def test_by_query_and_body(shared: World) -> None:
    job_id = shared.names["job_id"]
    provider_id = (await shared.ada.get(f"/v1/jobs/{job_id}")).json()["provider_request_id"]
    for name in (job_id, provider_id):
        assert await _status(shared.bob, "GET", f"/v1/video/status?request_id={name}") == 404
        assert await _status(shared.ada, "GET", f"/v1/video/status?request_id={name}") == 200
        assert await _status(shared.admin, "GET", f"/v1/video/status?request_id={name}") == 200
    # A ticket opens only what the key that requests it can read.
    for client, status in ((shared.bob, 404), (shared.admin, 200), (shared.ada, 200)):
        body = {"request_id": job_id}
        assert await _status(client, "POST", "/v1/stream-tickets", json=body) == status


async def test_lists_and_streams_show_the_callers_own(shared: World) -> None:
    job_id = shared.names["job_id"]
    for path in ("/v1/jobs", "/v1/deliveries"):
        assert job_id in (await shared.ada.get(path)).text
        for client in (shared.bob, shared.admin):
            assert job_id not in (await client.get(path)).text
        assert job_id in (await shared.admin.get(path, params={"user": "ada"})).text
    adas = (await submit(shared.ada))["request_id"]
    bobs = (await submit(shared.bob))["request_id"]
    for client, params, shown in (
        (shared.bob, {}, {bobs}),
        (shared.admin, {"user": "bob"}, {bobs}),
        (shared.admin, {}, set()),
        (shared.ada, {}, {adas}),
    ):
        async with client.stream("GET", "/v1/events", params=params) as stream:
            text = await anext(aiter(stream.aiter_text()))
        assert {each for each in (adas, bobs) if each in text} == shown


async def test_a_ticket_opens_its_users_streams_and_nothing_else(shared: World) -> None:
    job_id = shared.names["job_id"]
    bobs = (await submit(shared.bob))["request_id"]
    for_all = (await shared.bob.post("/v1/stream-tickets")).json()["ticket"]
    asked = await shared.bob.post("/v1/stream-tickets", json={"request_id": bobs})
    for_one = asked.json()["ticket"]
    nobody = shared.service.client()
    for ticket, path, status in (
        (for_all, "/v1/events", 200),
        (for_all, f"/v1/jobs/{bobs}/events", 200),
        (for_all, f"/v1/jobs/{job_id}/events", 404),
        (for_one, f"/v1/jobs/{bobs}/events", 200),
        (for_one, "/v1/events", 401),
        (for_one, f"/v1/jobs/{job_id}/events", 401),
    ):
        assert await _status(nobody, "GET", path, params={"ticket": ticket}) == status
    for row in ASKING:
        if row.credential is not KEY_OR_TICKET:
            path = shared.path(row)
            assert await _status(nobody, row.method, path, params={"ticket": for_all}) == 400, row
    # An admin's ticket has no admin rights.
    ticket = (await shared.admin.post("/v1/stream-tickets")).json()["ticket"]
    assert await _status(nobody, "GET", f"/v1/jobs/{job_id}/events?ticket={ticket}") == 404
    assert await _status(nobody, "GET", f"/v1/events?user=ada&ticket={ticket}") == 403


async def test_cursors_and_idempotency_keys_are_their_users_own(shared: World) -> None:
    await submit(shared.ada)
    cursor = (await shared.ada.get("/v1/jobs?limit=1")).json()["next_cursor"]
    assert await _status(shared.bob, "GET", "/v1/jobs", params={"cursor": cursor}) == 400
    assert await _status(shared.ada, "GET", "/v1/deliveries", params={"cursor": cursor}) == 400
    assert await _status(shared.ada, "GET", "/v1/jobs", params={"cursor": cursor}) == 200

    answers = [
        await client.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "the same"})
        for client in (shared.ada, shared.bob)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["request_id"] != answers[1].json()["request_id"]
