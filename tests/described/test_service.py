"""Described providers in a whole service, with descriptions from a folder."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.cli.doctor import check_all
from receiver.config.environment import SettingsError, load
from receiver.providers.settings import ServiceSettings, with_providers
from tests.described.shapes import SHAPES, TEXTS
from tests.http_api.relay_sink import Sink, relay_sink
from tests.providers.path_server import path_server
from tests.support.service import (
    RunningService,
    history_of,
    job_of,
    running_service,
    submit,
    wait_for_job,
)

QUICK = {"sandbox_render": 0.3, "poll_first": 0.1, "poll_min": 0.1, "poll_max": 0.2}
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "drop": {"sandbox_drop_callbacks": 1},
    "duplicate": {"sandbox_duplicate_callbacks": 1},
    "fail": {"sandbox_fail_jobs": 1},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all shapes, which every service here reads."""
    made = tmp_path / "providers"
    made.mkdir()
    for name, text in TEXTS.items():
        (made / f"{name}.toml").write_text(text)
    monkeypatch.setenv("RECEIVER_PROVIDERS_DIR", str(made))
    return made


def order(name: str) -> dict[str, Any]:
    return {
        "provider": f"sandbox-{name}",
        "kind": SHAPES[name].kind.example,
        "input": {"prompt": "A heron"},
    }


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_ends_in_an_outcome(tmp_path: Path, fault: str) -> None:
    names = [name for name in SHAPES if name != "only"]
    given = {
        "provider": f"sandbox-{names[0]}",
        "providers": tuple(f"sandbox-{name}" for name in names),
        **QUICK,
        **FAULTS[fault],
    }
    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        jobs = {name: await submit(client, **order(name)) for name in names}
        status = "FAILED" if fault == "fail" else "COMPLETED"
        for name, job in jobs.items():
            done = await wait_for_job(client, job["request_id"], status=status)
            assert done["provider_request_id"], name
            if status == "FAILED":
                assert done["error"]["code"] == "provider_failed"
                assert "gave up" in done["error"]["message"]
            else:
                assert "127.0.0.1" in json.dumps(done["result"]), name
            callbacks = await history_of(client, job["request_id"], "callback")
            if fault == "none" and SHAPES[name].signature is not None:
                signature = SHAPES[name].signature
                verified = {each.get("verified", False) for each in callbacks}
                assert verified <= {signature is not None and signature.covers_body}, name


async def test_jobs_that_only_a_callback_ends(tmp_path: Path) -> None:
    given: dict[str, Any] = {"provider": "sandbox-only", **QUICK}
    async with running_service(tmp_path, **given) as service:
        client = await service.user()
        job = await submit(client, **order("only"))
        done = await wait_for_job(client, job["request_id"], status="COMPLETED")
        assert done["result"]["url"].startswith("http://127.0.0.1")
        (last,) = await history_of(client, job["request_id"], "callback")
        assert last["verified"] is True
    async with running_service(
        tmp_path, **given | {"sandbox_drop_callbacks": 1, "job_deadline": 0.5}
    ) as service:
        client = await service.user("bob")
        job = await submit(client, **order("only"))
        done = await wait_for_job(client, job["request_id"], status="FAILED")
        assert done["error"]["code"] == "deadline_exceeded"


async def test_what_the_description_refuses_is_a_400_with_its_pointer(tmp_path: Path) -> None:
    async with running_service(tmp_path, provider="sandbox-plain") as service:
        client = await service.user()
        wrong = {"kind": "Draw", "input": {"prompt": "x"}}
        evil = {"kind": "draw", "input": {"hook": "https://evil.example", "model": "x"}}
        for body, pointers in ((wrong, ["/kind"]), (evil, ["/input/model", "/input/hook"])):
            answer = await client.post("/v1/jobs", json=body)
            assert answer.status_code == 400
            assert [each["pointer"] for each in answer.json()["errors"]] == pointers


# --- callbacks at their route ---------------------------------------------------------------------


@asynccontextmanager
async def called_back(
    folder: Path, name: str, **settings: Any
) -> AsyncIterator[tuple[RunningService, str]]:
    """A service with a job of the real provider, which does not answer; and the job's address."""
    addresses: list[str] = []
    async with relay_sink() as sink:
        settings = {f"{name}_api_key": "k", f"{name}_base_url": sink.url, **settings}
        given = {"provider": name, "poll_first": 60, **settings}
        async with running_service(folder, **given) as service:
            client = await service.user()
            job = order(name) | {"provider": name}
            await submit(client, **job)
            addresses.append(await _address(sink))
            yield service, addresses[0]


async def _address(sink: Sink) -> str:
    (message,) = await sink.arrived(1)
    return str(message.headers.get("x-hook") or json.loads(message.body or b"{}").get("hook"))


async def test_a_challenge_is_answered_and_is_no_callback(tmp_path: Path) -> None:
    async with called_back(tmp_path, "second") as (_, url), httpx.AsyncClient() as http:
        answer = await http.post(url, json={"challenge": "abc", "state": "ok"})
        assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
        answer = await http.post(url, json={"state": "run"})
        assert answer.json() == {"status": "accepted"}


async def test_an_only_callback_counts_unconfirmed_if_it_is_not_signed(tmp_path: Path) -> None:
    async with called_back(tmp_path, "only") as (service, url), httpx.AsyncClient() as http:
        headers = {"x-task-id": "up-9", "x-task-status": "DONE"}
        answer = await http.post(url, json={"data": {"a": 1}}, headers=headers)
        assert answer.status_code == 200
        client = await service.user()
        (job,) = (await client.get("/v1/jobs")).json()["jobs"]
        done = await job_of(client, job["request_id"])
        assert (done["status"], done["result"]) == ("COMPLETED", {"a": 1})
        (line,) = await history_of(client, job["request_id"], "callback")
        assert line["confirmed"] is False


async def test_with_a_secret_a_callback_without_a_good_signature_is_401(tmp_path: Path) -> None:
    secret = {"only_webhook_secret": "s3cret"}
    async with called_back(tmp_path, "only", **secret) as (_, url), httpx.AsyncClient() as http:
        headers = {"x-task-id": "up-9", "x-task-status": "DONE"}
        answer = await http.post(url, json={"data": {"a": 1}}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


async def test_doctor_sees_whether_the_key_is_accepted(tmp_path: Path) -> None:
    async with path_server() as server:
        url = {"plain_base_url": f"{server.origin}/one", "only_base_url": f"{server.origin}/two"}
        keys = {"plain_api_key": "k", "only_api_key": "k"}
        given = {"database_url": f"sqlite:///{tmp_path}/x.db", "providers": "only", **url, **keys}
        settings = load(with_providers(ServiceSettings), provider="plain", **given)
        found = {each.detail: each.state for each in await check_all(settings)}
    assert found[f"{server.origin}/one/ accepts the key"] == "ok"
    assert found[f"{server.origin}/two/: whether it accepts the key cannot be seen"] == "warning"
    unsigned = "only signs its callbacks, but no secret is set to verify them"
    assert found[unsigned] == "warning"


# --- settings -------------------------------------------------------------------------------------


def faults(**given: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load(with_providers(ServiceSettings), **given)
    return str(refused.value)


def test_faults_in_files_are_told_like_those_of_settings(folder: Path) -> None:
    (folder / "bad.toml").write_text('name = "bad"\nbase_url = 3\n')
    (folder / "worse.toml").write_bytes(b"\xff")
    (folder / "note.txt").write_text("no description")
    said = faults(provider="sandbox", poll_min=-1)
    assert f"RECEIVER_PROVIDERS_DIR is '{folder}': bad.toml, line 2: base_url: " in said
    assert "bad.toml, line 1: kind: this member is needed" in said
    assert "worse.toml" in said
    assert "RECEIVER_POLL_MIN" in said


def test_a_provider_needs_its_key_and_a_server_of_ones_own_its_address(folder: Path) -> None:
    own = TEXTS["plain"].replace('"plain"', '"own"')
    (folder / "own.toml").write_text(own.replace('base_url = "https://one.example/api"', ""))
    assert "it needs RECEIVER_PLAIN_API_KEY, which is not set" in faults(provider="plain")
    assert "it needs RECEIVER_OWN_BASE_URL, which is not set" in faults(provider="own")
    settings = load(
        with_providers(ServiceSettings), provider="own", own_base_url="http://127.0.0.1:9"
    )
    assert settings.base_url_of("own") == "http://127.0.0.1:9/"
    assert "RECEIVER_NESTED_WEBHOOK_SECRET cannot be used: a secret in base64" in faults(
        provider="sandbox", nested_webhook_secret="whsec_!"
    )


def test_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_PROVIDERS_DIR", "/nowhere")
    assert "RECEIVER_PROVIDERS_DIR is '/nowhere': the folder cannot be read" in faults()


def test_a_price_can_name_what_it_measures(folder: Path) -> None:
    file = folder / "prices"
    price = '[[price]]\nprovider = "nested"\nkind = "*"\nmeasured = {{ {} = "1" }}'
    price = f'currency = "USD"\n{price}'
    file.write_text(price.format("ms"))
    assert load(with_providers(ServiceSettings), provider="sandbox", prices=str(file)).prices
    file.write_text(price.format("seconds"))
    assert "nested measures ms" in faults(provider="sandbox", prices=str(file))
