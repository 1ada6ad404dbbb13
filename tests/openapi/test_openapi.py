"""The document is valid, complete, and describes what is served. Whether answers match it is
checked for each answer that any test sees (tests/support/documented.py, a hook of the clients in
tests/support/service.py)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from receiver.environment import load
from receiver.http_api.operation import operation_of
from receiver.http_api.request_documents import configured
from receiver.http_api.routes import API
from receiver.settings import ServeSettings
from tests.support import documented
from tests.support.service import running_service

DOCUMENT = json.loads(json.dumps(documented.document()))
MOVIE, NARRATIVE = (
    DOCUMENT["components"]["schemas"][name]["examples"][0]
    for name in ("CreateMovie", "CreateNarrative")
)
PROBES = {"/livez", "/readyz", "/metrics"}


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_of_the_api_and_no_other_is_in_it() -> None:
    expected = {
        (row.path, row.method)
        for row in API
        if row.path.startswith(("/v1/", "/webhooks/")) or row.path in PROBES
    }
    assert len(expected) >= 18
    assert expected == {
        (path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert expected == {(row.path, row.method) for row in API if operation_of(row.handler)}


def test_every_answer_has_its_shape_and_every_refusal_the_one_shape() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert min(operation["responses"]) < "4", path
            for status, answer in operation["responses"].items():
                assert answer["description"], (path, status)
                if status[0] in "45":
                    assert list(answer["content"]) == [documented.PROBLEM]


def _examples() -> list[Any]:
    return [
        pytest.param(name, example, id=f"{name}-{index}")
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for index, example in enumerate(schema.get("examples", ()))
    ]


def test_members_are_described_where_they_are_written_and_where_they_are_inherited() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in ("Job", "JobDetail"):
        members = schemas[name]["properties"]
        assert members["seq"]["description"] == "Number of the job's events so far."
        assert members["label"]["description"].startswith("The beginning of the prompt")
    assert schemas["JobDetail"]["properties"]["input"]["description"] == "As submitted."


@pytest.mark.parametrize(("name", "example"), _examples())
def test_every_example_keeps_to_its_schema(name: str, example: Any) -> None:
    documented.validator(name).validate(example)


def _media() -> Iterator[tuple[str, Any]]:
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            if body := operation.get("requestBody"):
                yield f"{operation['operationId']} body", body["content"]
            for status, answer in operation["responses"].items():
                if status < "4" and "content" in answer:
                    yield f"{operation['operationId']} {status}", answer["content"]


def test_every_operation_has_examples_that_fit() -> None:
    for where, content in _media():
        for media in content.values():
            assert "example" in media, where
            if "schema" in media:
                name = media["schema"]["$ref"].rpartition("/")[2]
                documented.validator(name).validate(media["example"])


def _anonymous(schema: Any, path: str, *, named: bool = False) -> Iterator[str]:
    """Schemas for which a generator would have to invent a type name."""
    if isinstance(schema, list):
        for index, part in enumerate(schema):
            yield from _anonymous(part, f"{path}/{index}")
    if not isinstance(schema, dict):
        return
    union = schema.get("anyOf") or schema.get("oneOf") or []
    if not named:
        if {"enum", "properties"} & schema.keys():
            yield path
        if union and (len(union) != 2 or union[1] != {"type": "null"}):
            yield path
    for key, its in schema.items():
        if key in ("properties", "$defs"):
            for name, member in its.items():
                yield from _anonymous(member, f"{path}/{name}")
        elif key in ("items", "additionalProperties", "anyOf", "oneOf", "schema"):
            yield from _anonymous(its, f"{path}/{key}")


def test_generators_need_not_invent_names() -> None:
    found = [
        place
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for place in _anonymous(schema, name, named=True)
    ]
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            found += _anonymous(operation.get("parameters", []), f"{method} {path}")
    assert found == []


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("Job", {}),
        ("Job", DOCUMENT["components"]["schemas"]["Job"]["examples"][0] | {"more": 1}),
        ("Job", DOCUMENT["components"]["schemas"]["Job"]["examples"][0] | {"status": "DONE"}),
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


def test_the_models_are_those_that_are_configured() -> None:
    settings = load(ServeSettings, provider="sandbox", image_models=("NEW1",), video_models=("V2",))
    schemas = configured(settings)
    assert schemas["ImageModel"]["enum"] == ["NEW1"]
    assert schemas["VideoModel"]["enum"] == ["V2"]


async def test_it_is_served_to_everyone(tmp_path: Path) -> None:
    async with running_service(tmp_path, **documented.EVERYTHING) as service:
        answer = await service.client().get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
