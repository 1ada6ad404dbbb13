"""The document is valid, whole, and what is served. That answers keep to it is asked of each answer
that any test sees (tests/documented.py, a hook of the clients in tests/service.py).
"""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from receiver.http_api.request_schemas import request_schemas
from receiver.http_api.table import API, TABLE
from receiver.settings import ServeSettings, load
from tests import documented
from tests.service import running_service

DOCUMENT = json.loads(json.dumps(documented.document()))
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
    assert expected == {(row.path, row.method) for row in API if row.operation is not None}


def test_names_are_given_once() -> None:
    names = [row.operation.name for row in API if row.operation is not None]
    assert len(names) == len(set(names))


def test_every_answer_has_its_shape_and_every_refusal_the_one_shape() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
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


@pytest.mark.parametrize(("name", "example"), _examples())
def test_every_example_keeps_to_its_schema(name: str, example: Any) -> None:
    documented.validator(name).validate(example)


def test_what_is_sent_or_answered_has_an_example() -> None:
    shown = {
        name for name, schema in DOCUMENT["components"]["schemas"].items() if "examples" in schema
    }
    parts = {"JobError", "Jobs", "Deliveries"}  # shown as members, or made of what is shown
    assert set(DOCUMENT["components"]["schemas"]) - shown == parts


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("Job", {}),
        ("Job", DOCUMENT["components"]["schemas"]["Job"]["examples"][0] | {"more": 1}),
        ("Job", DOCUMENT["components"]["schemas"]["Job"]["examples"][0] | {"status": "DONE"}),
        ("Problem", {"message": "no"}),
        ("CreateMovie", {"input": {"prompt": " "}}),
        ("Metadata", {"a": 1}),
    ],
)
def test_the_schemas_refuse(name: str, bad: Any) -> None:
    assert not documented.validator(name).is_valid(bad)


def test_the_models_are_those_that_are_configured() -> None:
    settings = load(ServeSettings, provider="sandbox", image_models=("NEW1",), video_models=("V2",))
    movie = request_schemas(settings)["MovieInput"]["properties"]
    assert movie["image_model"]["enum"] == ["NEW1"]
    assert movie["video_model"]["enum"] == ["V2"]


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


async def test_both_are_served_to_everyone(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
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
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not page.all("src")
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert all(link.startswith(("#", "/openapi.json")) for link in page.all("href"))
    anchors = {link[1:] for link in page.all("href") if link.startswith("#")}
    assert anchors <= set(page.all("id"))
    for path in DOCUMENT["paths"]:
        assert re.search(rf"<code>{re.escape(path)}</code>", answer.text)
