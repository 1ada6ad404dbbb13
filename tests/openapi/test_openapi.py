"""The document is valid, complete, and agrees with the code. Whether responses match it is checked
for each one that any test sees (tests/support/documented.py, a hook of the clients in
tests/support/service.py)."""

import inspect
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from receiver.config.environment import load
from receiver.domain import documents as job_documents
from receiver.domain.documents import LABEL_CHARACTERS
from receiver.http_api import documents
from receiver.http_api.credentials import CALLBACK_TOKEN, KEY_OR_TICKET, PUBLIC
from receiver.http_api.openapi import openapi_document
from receiver.http_api.queries import DEFAULT_LIMIT, MAX_LIMIT
from receiver.http_api.routes import API
from receiver.http_api.validation import METADATA_VALUE, WEBHOOK_EVENTS
from receiver.providers.registry import Providers
from receiver.providers.samsar import rules as samsar
from receiver.providers.samsar.routes import ROUTES
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.upstream.contract import MAX_KIND
from receiver.upstream.parsing import MESSAGE_CHARACTERS
from receiver.webhooks.targets import LONGEST_URL
from store.records.archive import FileState
from store.records.callbacks import Verdict
from store.records.costs import CostState
from store.records.deliveries import DeliveryState
from store.records.jobs import ErrorCode, Evidence, Phase, Status
from tests.support import documented
from tests.support.service import running_service

Service = with_providers(ServiceSettings)
DOCUMENT = documented.document()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    (path, method.upper()): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
BODIES = {
    operation["operationId"]: operation["requestBody"]["content"]["application/json"]
    for operation in OPERATIONS.values()
    if "requestBody" in operation
}
MOVIE, NARRATIVE = (BODIES[name]["example"] for name in ("createMovie", "createNarrative"))
JOB = documented.example("Job")


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_of_the_api_and_no_other_is_in_it() -> None:
    described = ("/v1/", "/webhooks/", "/livez", "/readyz", "/metrics")
    rows = {
        (row.path, row.method): row for row in (*API, *ROUTES) if row.path.startswith(described)
    }
    assert rows.keys() == OPERATIONS.keys()
    for key, operation in OPERATIONS.items():
        credential = rows[key].credential
        needed = set() if credential in (PUBLIC, CALLBACK_TOKEN) else {"key", "bearer"}
        needed |= {"ticket"} if credential is KEY_OR_TICKET else set()
        assert {name for each in operation["security"] for name in each} == needed


# --- agreement with the code ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *(("JobStatus", Status), ("Phase", Phase), ("Evidence", Evidence)),
        *(("ErrorCode", ErrorCode), ("Verdict", Verdict), ("FileState", FileState)),
        *(
            ("DeliveryState", DeliveryState),
            ("KnownProvider", sorted(Service.known)),
        ),
        *(("CostState", CostState), ("WebhookEvent", WEBHOOK_EVENTS)),
        ("MessageType", [f"job.{event.lower()}" for event in WEBHOOK_EVENTS]),
        ("SpeechProvider", sorted(samsar.SPEECH_PROVIDERS)),
    ],
)
def test_words_are_those_of_the_code(name: str, words: Iterable[str]) -> None:
    assert SCHEMAS[name]["enum"] == [str(word) for word in words]


def _types() -> Iterator[Any]:
    for module in (job_documents, documents):
        for name, each in inspect.getmembers(module, typing.is_typeddict):
            if name in SCHEMAS:
                yield pytest.param(each, id=name)


@pytest.mark.parametrize("document", list(_types()))
def test_members_are_those_of_the_types(document: Any) -> None:
    schema = SCHEMAS[document.__name__]
    assert schema["properties"].keys() == document.__annotations__.keys()
    assert {*schema["required"]} == document.__required_keys__
    assert schema["additionalProperties"] is False


def test_limits_are_those_of_the_code() -> None:
    movie = SCHEMAS["MovieInput"]["properties"]
    limit = DOCUMENT["components"]["parameters"]["Limit"]["schema"]
    assert (limit["maximum"], limit["default"]) == (MAX_LIMIT, DEFAULT_LIMIT)
    assert movie["prompt"]["maxLength"] == samsar.PROMPT_CHARACTERS
    assert movie["duration"]["maximum"] == samsar.DURATION_SECONDS
    assert SCHEMAS["PromptList"]["anyOf"][0]["maxItems"] == samsar.PROMPT_LINES
    assert SCHEMAS["Kind"]["maxLength"] == MAX_KIND
    assert SCHEMAS["CreateJob"]["properties"]["webhookUrl"]["maxLength"] == LONGEST_URL
    assert SCHEMAS["Metadata"]["additionalProperties"]["maxLength"] == METADATA_VALUE
    assert SCHEMAS["Job"]["properties"]["label"]["maxLength"] == LABEL_CHARACTERS
    assert SCHEMAS["Job"]["properties"]["message"]["maxLength"] == MESSAGE_CHARACTERS


async def test_parameters_are_those_that_the_routes_accept(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        admin = await service.user(admin=True)
        lists = {path for path, _ in OPERATIONS if "limit" in _query(path)}
        assert len(lists) == 3
        for path in lists:
            refused = (await admin.get(path, params={"typo": "1"})).json()["detail"]
            accepted = refused.partition("the known ones are ")[2].removesuffix(".").split(", ")
            assert accepted == _query(path)


def _query(path: str) -> list[str]:
    parameters = OPERATIONS.get((path, "GET"), {}).get("parameters", ())
    found = map(documented.resolved, parameters)
    return [each["name"] for each in found if each["in"] == "query"]


# --- examples and refusals ------------------------------------------------------------------------


def test_every_example_keeps_to_its_schema() -> None:
    for name, schema in SCHEMAS.items():
        for example in schema.get("examples", ()):
            documented.validator(name).validate(example)
    for content in BODIES.values():
        name = content["schema"]["$ref"].rpartition("/")[2]
        documented.validator(name).validate(content["example"])


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("Job", {}),
        ("Job", JOB | {"more": 1}),
        ("Job", JOB | {"status": "DONE"}),
        ("Problem", {"message": "no"}),
        ("CreateMovie", {"input": {"prompt": " "}}),
        ("CreateJob", NARRATIVE | {"kind": "create_movie"}),
        ("CreateJob", MOVIE | {"kind": "create_narrative"}),
        ("Metadata", {"a": 1}),
        ("HistoryLine", {"at": "2026-01-02T03:04:05.678Z", "type": "poll", "bytes": 1}),
        ("HistoryLine", {"at": "2026-01-02T03:04:05.678Z", "type": "guess"}),
    ],
)
def test_the_schemas_refuse(name: str, bad: Any) -> None:
    assert not documented.validator(name).is_valid(bad)


def test_the_schemas_take_jobs_for_other_providers() -> None:
    for kind, its in (("owner/name", {}), ("fal-ai/flux/dev", {"prompt": "a kite"})):
        documented.validator("CreateJob").validate({"kind": kind, "input": its})


# --- what is served -------------------------------------------------------------------------------


def test_the_models_are_those_that_are_configured() -> None:
    settings = load(
        with_providers(ServiceSettings),
        provider="sandbox",
        image_models=("NEW1",),
        video_models=("V2",),
    )
    schemas = openapi_document((), Providers(settings).words())["components"]["schemas"]
    assert schemas["ImageModel"]["enum"] == ["NEW1"]
    assert schemas["VideoModel"]["enum"] == ["V2"]
    assert {"V2", *samsar.NARRATIVE_VIDEO_MODELS} == {*schemas["NarrativeVideoModel"]["enum"]}


async def test_it_is_served_to_everyone(tmp_path: Path) -> None:
    async with running_service(tmp_path, **documented.EVERYTHING) as service:
        answer = await service.client().get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
