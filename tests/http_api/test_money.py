"""Prices, costs, budgets and spend, as users and operators see them."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from receiver.clock import SystemClock
from receiver.config.environment import load
from receiver.providers.registry import simulator_api
from receiver.providers.settings import PriceSettings, with_providers
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
from receiver.upstream.parsing import read_measured
from store.records.costs import Budget
from tests.http_api.scripted_provider import COMPLETED, ScriptedProvider, scripted_provider
from tests.providers.path_server import path_server
from tests.support.service import (
    MOVIE,
    RunningService,
    job_of,
    metric,
    running_service,
    submit,
    wait_for_job,
)

HEAD = 'currency = "USD"\n'
SAMSAR = HEAD + (
    '[[price]]\nprovider = "samsar"\nkind = "create_movie"\nfixed = "0.1"\n'
    'per = { duration = "0.02", extra.n = "1" }\n'
)
SPEND = "receiver_spend_total"


def prices(folder: Path, text: str) -> str:
    file = folder / "prices.toml"
    file.write_text(text)
    return str(file)


async def set_budget(service: RunningService, user: str, text: str) -> None:
    now = service.clock.now()
    await service.store.ledger.set_budget(user, Budget.read(text), now)


@pytest.fixture
async def service(provider: ScriptedProvider, start: Any, tmp_path: Path) -> RunningService:
    started: RunningService = await start(**provider.settings(), prices=prices(tmp_path, SAMSAR))
    return started


async def test_a_cost_is_shown_everywhere_but_in_webhooks(
    service: RunningService, client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    given = MOVIE | {"extra": {"n": "0.000000000000000000001"}}
    job = await submit(client, input=given)
    cost = {"amount": "0.700000000000000000001", "currency": "USD", "state": "reserved"}
    assert job["cost"] == cost
    assert (await job_of(client, job["request_id"]))["cost"] == cost
    assert (await client.get("/v1/jobs")).json()["jobs"][0]["cost"] == cost

    address = (await provider.submitted()).webhook_url
    provider.states["up-1"] = COMPLETED
    async with httpx.AsyncClient(trust_env=False) as upstream:
        await upstream.post(address, json=COMPLETED)
    done = await wait_for_job(client, job["request_id"], done=True)
    assert done["cost"] == cost | {"state": "settled"}
    settled = f'{SPEND}{{provider="samsar",state="settled"}}'
    assert await metric(service, settled) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"duration": 10, "extra": {"n": "1" * 500}}, "/input/extra/n"),
        ({"duration": 10, "extra": {"n": "1e999999999"}}, "/input/extra/n"),
    ],
)
async def test_a_number_that_cannot_be_priced_is_refused(
    client: httpx.AsyncClient, given: dict[str, Any], pointer: str
) -> None:
    refused = await client.post("/v1/jobs", json={"kind": "create_movie", "input": MOVIE | given})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == pointer


async def test_a_budget_refuses_what_would_exceed_it(
    service: RunningService, client: httpx.AsyncClient, provider: ScriptedProvider
) -> None:
    user = (await submit(client))["user"]
    await set_budget(service, user, "1.4/hour")
    key = {"Idempotency-Key": "once"}
    body = {"kind": "create_movie", "input": MOVIE}
    first = await client.post("/v1/jobs", json=body, headers=key)  # reaching it is not over it
    assert first.status_code == 202

    refused = await client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "twice"})
    said = refused.json()
    assert (refused.status_code, said["code"]) == (402, "budget_exceeded")
    assert (said["budget"], said["spent"]) == ("1.4/hour", "1.4")
    assert said["resets_at"].endswith(":00:00.000Z")
    assert said["message"] == said["detail"]
    drop_in = await client.post("/v1/video/create_movie", json={"input": MOVIE})
    assert (drop_in.status_code, drop_in.json()["code"]) == (402, "budget_exceeded")
    invalid = await client.post("/v1/jobs", json={"kind": "create_movie", "input": {}})
    assert invalid.status_code == 400
    again = await client.post("/v1/jobs", json=body, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    lines = {"prompt_list": ["The fox finds a map."], "image_model": "IMAGEN3"}
    unpriced = await client.post("/v1/video/create_narrative", json={"input": lines})
    assert (unpriced.status_code, unpriced.json()["code"]) == (402, "no_price")
    assert len((await client.get("/v1/jobs")).json()["jobs"]) == 2
    assert len(provider.submissions) <= 2

    await set_budget(service, user, "2.1/hour")
    freed = await client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "twice"})
    assert freed.status_code == 202


async def test_a_budget_holds_for_fifty_submissions_at_once(
    service: RunningService, client: httpx.AsyncClient
) -> None:
    user = (await submit(client))["user"]
    await set_budget(service, user, "7/day")
    body = {"kind": "create_movie", "input": MOVIE}

    answers = await asyncio.gather(*(client.post("/v1/jobs", json=body) for _ in range(50)))

    codes = [answer.status_code for answer in answers]
    assert (codes.count(202), codes.count(402)) == (9, 41)
    (row,) = (await client.get("/v1/spend")).json()["rows"]
    assert row | {"key": ""} == {
        "key": "",
        "jobs": 10,
        "reserved": "7",
        "settled": "0",
        "unknown": "0",
    }


async def test_every_route_that_creates_keeps_to_the_budget(tmp_path: Path) -> None:
    creates: dict[str, dict[str, Any]] = {
        "/v1/jobs": {"provider": "sandbox-fal", "kind": "fal-ai/x", "input": {}},
        "/v1/video/create_movie": {"input": MOVIE},
        "/replicate/v1/predictions": {"version": "a/b", "input": {}},
        "/replicate/v1/models/a/b/predictions": {"input": {}},
        "/fal/fal-ai/x": {},
    }
    text = HEAD + "".join(
        f'[[price]]\nprovider = "{name}"\nkind = "*"\nfixed = "0.1"\n'
        for name in ("sandbox", "sandbox-fal")
    )
    given: dict[str, Any] = {"provider": "sandbox", "providers": "sandbox-replicate,sandbox-fal"}
    async with running_service(tmp_path, **given, prices=prices(tmp_path, text)) as service:
        client = await service.user()
        user = (await submit(client))["user"]
        await set_budget(service, user, "0.1/day")
        for path, body in creates.items():
            refused = await client.post(path, json=body)
            code = "no_price" if "replicate" in path else "budget_exceeded"
            assert (refused.status_code, refused.json()["code"]) == (402, code), path
        assert len((await client.get("/v1/jobs")).json()["jobs"]) == 1


async def test_spend_is_the_callers_own_and_of_all_for_admins(
    service: RunningService, client: httpx.AsyncClient
) -> None:
    admin = await service.user("root", admin=True)
    user = (await submit(client, metadata={"order": "7"}))["user"]
    await submit(admin)
    row = {"jobs": 1, "reserved": "0.7", "settled": "0", "unknown": "0"}

    async def rows(of: httpx.AsyncClient, **query: str) -> Any:
        document = (await of.get("/v1/spend", params=query)).json()
        assert document["currency"] == "USD"
        return document["rows"]

    assert await rows(client, by="provider") == [{"key": "samsar", **row}]
    assert await rows(client, by="kind", **{"metadata.order": "7"}) == [
        {"key": "create_movie", **row}
    ]
    assert await rows(client, **{"metadata.order": "8"}) == []
    assert await rows(client, created_before="2026-01-01") == []
    assert await rows(admin, by="user", user=user) == [{"key": user, **row}]
    both = await rows(admin, by="provider", user="*")
    assert both == [{"key": "samsar", **row, "jobs": 2, "reserved": "1.4"}]
    for query, status in (
        ({"by": "week"}, 400),
        ({"status": "FAILED"}, 400),
        ({"created_after": "soon"}, 400),
        ({"user": "*"}, 403),
    ):
        assert (await client.get("/v1/spend", params=query)).status_code == status
    assert (await admin.get("/v1/spend", params={"user": "nobody"})).status_code == 404


async def test_spend_by_day_is_split_by_another_key(
    service: RunningService, client: httpx.AsyncClient
) -> None:
    user = (await submit(client))["user"]
    admin = await service.user("root", admin=True)
    await submit(admin)
    row = {"jobs": 1, "reserved": "0.7", "settled": "0", "unknown": "0"}
    for split, names in (("kind", ["create_movie"]), ("provider", ["samsar"]), ("user", [user])):
        (found,) = (await client.get("/v1/spend", params={"split": split})).json()["rows"]
        assert found == row | {"key": found["key"], "split": names[0]}
    query = {"by": "provider", "split": "user", "user": "*"}
    rows = (await admin.get("/v1/spend", params=query)).json()["rows"]
    assert [found["split"] for found in rows] == sorted([user, "root"])
    assert (await client.get("/v1/spend", params={"split": "day"})).status_code == 400


async def test_how_budgets_stand_is_the_caller_s_own_and_of_all_for_admins(
    service: RunningService, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/v1/budgets")).json() == {"currency": "USD", "budgets": []}
    user = (await submit(client))["user"]
    await set_budget(service, user, "1.00/month")
    document = (await client.get("/v1/budgets")).json()
    over = await client.post("/v1/jobs", json={"kind": "create_movie", "input": MOVIE})
    refused = {name: over.json()[name] for name in ("budget", "spent", "resets_at")}
    assert (refused["budget"], refused["spent"]) == ("1.00/month", "0.7")
    assert document == {"currency": "USD", "budgets": [{"user": user, **refused}]}
    admin = await service.user("root", admin=True)
    assert (await admin.get("/v1/budgets")).json()["budgets"] == []
    for query in ("*", user):
        assert (await admin.get("/v1/budgets", params={"user": query})).json() == document
    assert (await client.get("/v1/budgets", params={"user": "*"})).status_code == 403


async def test_a_job_keeps_its_price_and_spend_is_of_the_present_currency(tmp_path: Path) -> None:
    async with scripted_provider() as provider:
        given = provider.settings()
        async with running_service(tmp_path, **given, prices=prices(tmp_path, SAMSAR)) as service:
            user = await service.user()
            key = user.headers["API-KEY"]
            job = await submit(user)
            await provider.submitted()
        euros = SAMSAR.replace("USD", "EUR").replace('fixed = "0.1"', 'fixed = "9"')
        async with running_service(tmp_path, **given, prices=prices(tmp_path, euros)) as service:
            user = service.client(key)
            assert (await job_of(user, job["request_id"]))["cost"] == job["cost"]
            assert (await user.get("/v1/spend")).json() == {"currency": "EUR", "rows": []}
            assert (await submit(user))["cost"]["amount"] == "9.6"
        async with running_service(tmp_path, **given) as service:
            user = service.client(key)
            assert (await user.get("/v1/spend")).json() == {"currency": None, "rows": []}
            assert (await submit(user))["cost"] is None
            assert (await job_of(user, job["request_id"]))["cost"] == job["cost"]


INVOICED = {
    "samsar": ("create_movie", MOVIE, 'fixed = "0.1"\nper = { duration = "0.02" }', "0.7"),
    "replicate": ("owner/name", {}, 'fixed = "5"\nmeasured = { predict_time = "0.5" }', "0.15"),
    "fal": ("fal-ai/x", {}, 'fixed = "5"\nmeasured = { billable_units = "0.7" }', "0.21"),
}


@pytest.mark.parametrize("fails", [0, 1])
@pytest.mark.parametrize("name", INVOICED)
async def test_the_ledger_equals_the_sandbox_s_invoice(
    tmp_path: Path, name: str, fails: float
) -> None:
    kind, given, price, settled = INVOICED[name]
    text = HEAD + f'[[price]]\nprovider = "{name}"\nkind = "{kind}"\n{price}\n'
    list_ = prices(tmp_path, text)
    api = simulator_api(name, load(with_providers(PriceSettings), prices=list_))
    rules = SimulatorRules(render_seconds=0.3, fail_jobs=fails)
    async with simulator(rules, SystemClock(), api) as upstream:
        base = upstream + api.path
        settings: dict[str, Any] = {
            "samsar": {"samsar_base_url": base, "samsar_api_key": "k"},
            "replicate": {"replicate_base_url": base, "replicate_api_token": "k"},
            "fal": {
                "fal_base_url": base,
                "fal_key": "k",
                "fal_jwks_url": f"{base}.well-known/jwks.json",
            },
        }[name]
        async with running_service(tmp_path, provider=name, prices=list_, **settings) as service:
            client = await service.user()
            job = await submit(client, kind=kind, input=given)
            done = await wait_for_job(client, job["request_id"], done=True)
        async with httpx.AsyncClient(base_url=upstream, trust_env=False) as http:
            assert (await http.get("/invoice")).status_code in (400, 401)
            (line,) = (await http.get("/invoice", headers={"API-KEY": "k"})).json()
    assert line["request_id"] == done["provider_request_id"]
    if fails:
        reserved = job["cost"]["amount"]
        assert (done["cost"]["state"], done["cost"]["amount"]) == ("unknown", reserved)
        assert line["amount"] == reserved
    else:
        assert (done["cost"]["state"], done["cost"]["amount"]) == ("settled", settled)
        assert line["amount"] == settled
        assert done["evidence"] == "callback"


@pytest.mark.parametrize(
    ("reported", "measured"),
    [
        *(("2.5", "2.5"), ("0", "0"), (" 3 ", "3"), ("1e1", "10")),
        *(("-1", None), ("NaN", None), ("two", None), ("", None), (None, None), ("9" * 999, None)),
    ],
)
def test_a_header_that_is_no_number_is_not_reported(
    reported: str | None, measured: str | None
) -> None:
    expected = {} if measured is None else {"billable_units": Decimal(measured)}
    with structlog.testing.capture_logs() as logs:
        assert read_measured("billable_units", reported, str) == expected
    assert len(logs) == (reported is not None and measured is None)


@pytest.mark.parametrize(
    ("reported", "amount"),
    [(2.5, "1.25"), (0, "0"), (-1, "5"), ("2", "5"), (True, "5"), (None, "5"), ([], "5")],
)
async def test_garbage_counts_as_not_reported(tmp_path: Path, reported: Any, amount: str) -> None:
    text = HEAD + (
        '[[price]]\nprovider = "replicate"\nkind = "*"\nfixed = "5"\n'
        'measured = { predict_time = "0.5" }\n'
    )
    prediction = {"id": "p1", "status": "succeeded", "output": "x"}
    answers = {
        "POST /v1/models/owner/name/predictions": (201, prediction | {"status": "starting"}),
        "GET /v1/predictions/p1": (200, prediction | {"metrics": {"predict_time": reported}}),
    }
    async with path_server(answers) as upstream:
        given: dict[str, Any] = {
            "provider": "replicate",
            "replicate_base_url": f"{upstream.origin}/v1/",
            "replicate_api_token": "k",
            "poll_first": 0.05,
            "poll_min": 0.05,
        }
        async with running_service(tmp_path, **given, prices=prices(tmp_path, text)) as service:
            client = await service.user()
            job = await submit(client, kind="owner/name", input={})
            done = await wait_for_job(client, job["request_id"], done=True)
    assert done["cost"] == {"amount": amount, "currency": "USD", "state": "settled"}
