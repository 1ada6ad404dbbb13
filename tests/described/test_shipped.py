"""The descriptions that ship with the package read what their providers' documents show."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

import receiver.providers.described
from receiver.providers.described.description import STATUS_OF, Description, read_description
from receiver.providers.described.reading import (
    callback_reader,
    read_delay,
    read_id,
    read_result,
    read_text,
    status_code_meant,
    status_reader,
)
from receiver.providers.described.signatures import Key, Signatures, read_keys
from receiver.upstream.contract import BadSignature
from receiver.upstream.signatures import VerificationKeys
from tests.support.manual_clock import ManualClock

SHIPPED: Final = Path(receiver.providers.described.__path__[0]) / "shipped"
RECORDED: Final = Path(__file__).parent / "recorded"
NAMES: Final = sorted(path.stem for path in SHIPPED.glob("*.toml"))
WORDS: Final = {status: word for word, status in STATUS_OF.items()}


def described(name: str) -> Description:
    return read_description((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"), name)


def recorded(name: str, body: str) -> Any:
    return json.loads((RECORDED / name / f"{body}.json").read_text(encoding="utf-8"))


def bodies(kind: str) -> list[Any]:
    """The name of each provider, that of each body of this kind, and what it says."""
    return [
        pytest.param(name, body, says, id=f"{name}-{body}")
        for name in NAMES
        for body, says in recorded(name, "expected").items()
        if body.split("-")[0] == kind
    ]


def as_decimals(measured: Mapping[str, Any]) -> dict[str, Decimal]:
    return {name: Decimal(str(amount)) for name, amount in measured.items()}


def test_these_ship() -> None:
    assert NAMES == [
        "bfl",
        "higgsfield",
        "luma",
        "minimax",
        "openrouter",
        "runpod",
        "runway",
        "sync",
        "videos",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_where_and_when_it_was_read(name: str) -> None:
    one = described(name)
    assert one.docs
    assert all(address.startswith("https://") for address in one.docs)
    assert "Read on 20" in (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_an_example(name: str) -> None:
    one = described(name)
    assert one.kind.example is not None
    assert one.kind.pattern.match(one.kind.example) is not None
    assert one.example.input
    assert one.example.result
    assert one.example.error
    assert one.submit.body.keys().isdisjoint(one.example.input)


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_body_is_expected_to_say_something(name: str) -> None:
    files = {path.stem for path in (RECORDED / name).glob("*.json")}
    assert files - {"expected", "signature"} == recorded(name, "expected").keys()
    least = {"submit", "status-queued", "status-processing", "status-completed", "status-failed"}
    if described(name).calls_back:
        least |= {"callback-completed", "callback-failed"}
    assert least <= files


@pytest.mark.parametrize(("name", "body", "says"), bodies("submit"))
def test_answers_to_submissions(name: str, body: str, says: Mapping[str, Any]) -> None:
    one, answer = described(name), recorded(name, body)
    assert one.submit.id.first(answer, read_id) == says["id"]
    places = {"status": one.submit.urls.status, "cancel": one.submit.urls.cancel}
    urls = {which: place.first(answer, str) for which, place in places.items() if place is not None}
    assert {which: url for which, url in urls.items() if url} == says.get("urls", {})
    assert status_code_meant(one.errors, answer) is None


@pytest.mark.parametrize(("name", "body", "says"), [*bodies("status"), *bodies("callback")])
def test_what_is_said_of_a_job(name: str, body: str, says: Mapping[str, Any]) -> None:
    one, given = described(name), recorded(name, body)
    if "reply" in says:
        assert one.callback.challenge is not None
        assert one.callback.challenge.find(given) == says["reply"]["challenge"]
        return
    reader = (status_reader if body.startswith("status") else callback_reader)(one)
    report = reader.read(given)
    assert (None if report.status is None else WORDS[report.status]) == says["status"]
    assert report.provider_request_id == says["id"]
    assert report.progress == says.get("progress")
    assert report.result == says.get("result")
    assert report.message == says.get("error")
    assert as_decimals(report.measured) == as_decimals(says.get("measured", {}))
    if "value" in says:
        assert one.result.value is not None
        assert one.result.value.first(given, read_id) == says["value"]


@pytest.mark.parametrize(("name", "body", "says"), bodies("result"))
def test_answers_to_second_requests(name: str, body: str, says: Mapping[str, Any]) -> None:
    assert read_result(described(name).result.at, recorded(name, body)) == says["result"]


@pytest.mark.parametrize(("name", "body", "says"), bodies("refused"))
def test_refusals(name: str, body: str, says: Mapping[str, Any]) -> None:
    errors, answer = described(name).errors, recorded(name, body)
    assert read_text(errors.message, answer) == says["message"]
    code = None if errors.code is None else errors.code.first(answer, lambda value: value)
    assert code == says.get("code")
    assert read_delay(errors, answer) == says.get("retry_after")
    if errors.ok:
        assert status_code_meant(errors, answer) == says.get("counts_as", 400)


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in RECORDED.glob("*/signature.json"))
)
async def test_signatures(name: str) -> None:
    signature = described(name).signature
    assert signature is not None
    vectors = recorded(name, "signature")
    clock = ManualClock(vectors["now"] * 1_000)

    async def keys() -> Sequence[Key]:
        return read_keys(signature, [vectors["secret"]])

    for case in vectors["cases"]:
        headers = [(key.lower().encode(), value.encode()) for key, value in case["headers"].items()]
        checked = Signatures(signature, VerificationKeys(clock, keys), {}, clock)
        try:
            good = await checked.verifier(headers)(case["body"].encode())
        except BadSignature:
            good = False
        assert good == case["good"], case
