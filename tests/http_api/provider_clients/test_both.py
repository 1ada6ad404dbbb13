"""What the APIs of Replicate and fal, served by us, have in common."""

import httpx
import pytest

from tests.http_api.provider_clients.calls import ENDPOINT, INPUT, MODEL, PREDICTIONS, created
from tests.support.service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_schemes_of_their_clients_carry_our_key(service: RunningService) -> None:
    key = await service.key("schemes")
    for scheme in ("Bearer", "Token", "Key"):
        client = service.client(Authorization=f"{scheme} {key}")
        assert (await client.get(PREDICTIONS)).status_code == 200


async def test_a_job_of_the_other_provider_or_of_another_user_is_not_found(
    client: httpx.AsyncClient, service: RunningService
) -> None:
    prediction = (await created(client, MODEL))["id"]
    request = (await client.post(ENDPOINT, json=INPUT)).json()["request_id"]
    other = await service.user("another")
    of_fal = [("GET", ""), ("GET", "/status"), ("GET", "/status/stream"), ("PUT", "/cancel")]
    addresses = [
        *((method, "/fal/a/b/requests/{}" + rest, request, prediction) for method, rest in of_fal),
        ("GET", PREDICTIONS + "/{}", prediction, request),
        ("POST", PREDICTIONS + "/{}/cancel", prediction, request),
    ]

    for method, path, own, of_the_other_provider in addresses:
        assert (await client.request(method, path.format(of_the_other_provider))).status_code == 404
        foreign = await other.request(method, path.format(own))
        unknown = await other.request(method, path.format("job_" + "0" * 26))
        assert (foreign.status_code, foreign.json()) == (404, unknown.json())


async def test_a_job_made_by_our_own_api_is_served_too(client: httpx.AsyncClient) -> None:
    order = {"provider": "sandbox-replicate", "kind": "owner/name", "input": INPUT}
    made = (await client.post("/v1/jobs", json=order)).json()

    assert (await client.get(f"{PREDICTIONS}/{made['request_id']}")).json()["input"] == INPUT


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"Host": "api.example"}, "http://api.example"),
        ({"Host": "api.example", "X-Forwarded-Proto": "https"}, "https://api.example"),
        ({"Host": "api.example:99", "X-Forwarded-Proto": "gopher"}, "http://api.example:99"),
        ({"Host": "[::1]:80"}, "http://[::1]:80"),
    ],
)
async def test_addresses_are_those_that_the_client_used(
    client: httpx.AsyncClient, headers: dict[str, str], origin: str
) -> None:
    answer = await client.post(MODEL, json={"input": INPUT}, headers=headers)

    assert answer.json()["urls"]["get"].startswith(f"{origin}/replicate/v1/predictions/")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", PREDICTIONS), ("POST", ENDPOINT), ("GET", PREDICTIONS)]
)
async def test_without_its_provider_an_api_is_absent(
    shared_client: httpx.AsyncClient, method: str, path: str
) -> None:
    assert (await shared_client.request(method, path)).status_code == 404
