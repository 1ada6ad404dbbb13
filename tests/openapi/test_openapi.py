"""The document is valid, whole, and what is served. That answers keep to it is asked of each answer
that any test sees (tests/support/documented.py, a hook of the clients in tests/support/service.py).
"""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from receiver.environment import load
from receiver.http_api.operation import operation_of
from receiver.http_api.requests import configured
from receiver.http_api.table import API, TABLE
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
        for row in TABLE
        if row.path.startswith(("/v1/", "/webhooks/")) or row.path in PROBES
    }
    assert len(expected) >= 18
    assert expected == {
        (path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert expected == {(row.path, row.method) for row in API if operation_of(row.handler)}


def test_names_are_given_once() -> None:
    names = [each["operationId"] for item in DOCUMENT["paths"].values() for each in item.values()]
    assert len(names) == len(set(names))


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
    """Where a generator would have to invent the name of a type."""
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


# --- as addresses ---------------------------------------------------------------------------------


class _Page(HTMLParser):
    """What a page refers to, and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def all(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


async def test_the_curl_examples_are_commands_that_the_service_takes(tmp_path: Path) -> None:
    """None is refused for its form: what the examples name is not there, and no more."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    async with running_service(tmp_path, relay_allow_nets="127.0.0.0/8") as service:
        page = (await service.client().get("/docs")).text
        key = await service.key(admin=True)
        commands = [unescape(text) for text in re.findall(r'<pre class="curl">(.*?)</pre>', page)]
        assert len(commands) == sum(len(item) for item in DOCUMENT["paths"].values())
        for command in commands:
            local = command.replace("https://example.com", "https://127.0.0.1:9")
            process = await asyncio.create_subprocess_shell(
                f"{local} -o /dev/null -m 5 -w '%{{http_code}}'",
                env=os.environ | {"KEY": key, "no_proxy": "*"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate()
            expected = b"401" if "/webhooks/" in command else (b"200", b"202", b"204", b"404")
            assert out in expected, (command, out)


async def test_both_are_served_to_everyone(tmp_path: Path) -> None:
    async with running_service(tmp_path, **documented.EVERYTHING) as service:
        client = service.client()
        document, page = await client.get("/openapi.json"), await client.get("/docs")
    assert document.status_code == page.status_code == 200
    assert document.headers["content-type"] == "application/json"
    assert document.json() == DOCUMENT
    _check_page(page)


def _check_page(answer: httpx.Response) -> None:
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"

    page = _Page(answer.text)
    assert not {"style", "img", "iframe"} & set(page.tags)
    assert page.tags.count("script") == page.tags.count("link") == 1
    assert page.all("src") == ["/static/docs.js"]
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert all(
        link.startswith("#") or link in ("/", "/openapi.json", "/static/docs.css")
        for link in page.all("href")
    )
    anchors = {link[1:] for link in page.all("href") if link.startswith("#")}
    assert anchors <= set(page.all("id"))
    for path in DOCUMENT["paths"]:
        assert re.search(rf"<code>{re.escape(path)}</code>", answer.text)
