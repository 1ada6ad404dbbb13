"""Checks every answer that the tests receive against the OpenAPI document."""

import functools
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator

from receiver.config.environment import load
from receiver.http_api.openapi import openapi_document
from receiver.http_api.routes import routes_of
from receiver.providers.registry import Providers
from receiver.providers.settings import ServiceSettings, with_providers

PROBLEM = "application/problem+json"
EVERYTHING: Any = {"provider": "sandbox", "providers": "sandbox-replicate,sandbox-fal"}


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document of a service with the default models and every provider."""
    providers = Providers(load(with_providers(ServiceSettings), **EVERYTHING))
    table = routes_of(providers.client_routes(), {})
    return openapi_document({row.path for row in table}, providers.words())


async def check(response: httpx.Response) -> None:
    """Fail if the document does not allow this answer. An event hook of httpx."""
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type != "text/event-stream":
        await response.aread()
    for fault in faults(response, media_type):
        raise AssertionError(
            f"{response.request.method} {response.request.url.path} answered"
            f" {response.status_code}: {fault}"
        )


def assert_problem(answer: Any, status_code: int, code: str) -> dict[str, Any]:
    """Assert that an answer is this problem in the documented shape; return its body."""
    assert answer.status_code == status_code, answer.json()
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["x-request-id"]
    problem: dict[str, Any] = answer.json()
    validator("Problem").validate(problem)
    assert (problem["status"], problem["code"]) == (status_code, code)
    assert (problem["type"], problem["title"]) == ("about:blank", HTTPStatus(status_code).phrase)
    assert problem["detail"] == problem["message"] != ""
    return problem


def faults(response: httpx.Response, media_type: str) -> Iterator[str]:
    """How an answer differs from the document. Paths outside the document are not checked."""
    path, method = response.request.url.path, response.request.method
    documented = _answers(path, method)
    if documented is None or response.status_code == 405:
        if path.startswith(("/v1/", "/webhooks/")) and media_type != PROBLEM:
            yield "an address that is not documented does not refuse"
        return
    status = str(response.status_code)
    answer = resolved(documented.get(status) or documented.get(f"{status[0]}XX") or {})
    if not answer or (status not in documented and status not in _listed(answer, status)):
        yield "this status is not documented"
        return
    if "x-request-id" not in response.headers:
        yield "there is no X-Request-ID"
    content = answer.get("content", {})
    if method == "HEAD" or not response.is_closed:
        return
    if not content and response.content:
        yield "there is a body, and none is documented"
    elif (
        "application/octet-stream" in content and "etag" in response.headers
    ):  # a provider's file, of any type
        if response.headers.get("x-content-type-options") != "nosniff":
            yield "a file could be taken for another type"
    elif content and media_type not in content:
        yield f"the media type {media_type} is not documented"
    elif media_type.endswith("json"):
        name = content[media_type]["schema"]["$ref"].rpartition("/")[2]
        for error in validator(name).iter_errors(response.json()):
            yield f"{error.instance_path}: {error.message[:200]}"


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A parameter or a response itself, if it is a reference to a shared one."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    shared: dict[str, Any] = document()["components"][kind][name]
    return shared


def _listed(answer: dict[str, Any], status: str) -> list[str]:
    """The statuses that an answer for many lists in its description. A provider may choose any."""
    return re.findall(r"`(\d{3})`:", answer["description"]) or [status]


def example(schema_name: str) -> dict[str, Any]:
    """The first example of one of the document's named schemas."""
    made: dict[str, Any] = document()["components"]["schemas"][schema_name]["examples"][0]
    return made


@functools.cache
def validator(schema_name: str) -> Draft202012Validator:
    """A validator for one of the document's named schemas."""
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema_name}", "components": document()["components"]}
    )


@functools.cache
def _patterns() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), item)
        for path, item in document()["paths"].items()
    ]


def _answers(path: str, method: str) -> dict[str, Any] | None:
    """The documented answers of an operation; None if there is no such operation."""
    method = "get" if method == "HEAD" else method.lower()
    for pattern, item in _patterns():
        if pattern.fullmatch(path) and method in item:
            answers: dict[str, Any] = item[method]["responses"]
            return answers
    return None
