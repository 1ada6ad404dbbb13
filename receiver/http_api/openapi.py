"""The OpenAPI 3.1 document of the API, made from the route table."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from itertools import chain
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.documents import AN_ID, Result
from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import ADMIN_KEY, OpenHandler, Row
from receiver.http_api.documents import File, KnownProvider, Problem
from receiver.http_api.errors import CONTENT_TYPE
from receiver.http_api.operation import (
    Group,
    Operation,
    Parameter,
    ResponseTexts,
    TextResponse,
    operation_of,
    responses_of,
    summary_of,
)
from receiver.http_api.request_documents import configured
from receiver.http_api.responses import json_response
from receiver.http_api.webhook_documents import A_MESSAGE, Relay
from receiver.json_schema import Schema, example_of, ref, schemas_of
from receiver.settings import ServeSettings

_ON_EVERY_ROUTE: Final[ResponseTexts] = {
    414: "Path and query are too long.",
    431: "The headers are too large, or too many.",
    500: "An internal error; the log has it under this response's X-Request-ID.",
    503: "Storage is unavailable, or there is too much load. If `code` is `outcome_unknown`, the"
    " request may have been stored.",
}
_WITH_BODY: Final[ResponseTexts] = {
    400: "The body is not a JSON object, or breaks a rule (see `errors`).",
    408: "The body took too long.",
    413: "The body is too large.",
    415: "The body has a Content-Encoding.",
}
_WITH_KEY: Final[ResponseTexts] = {
    400: "The key is missing.",
    401: "The key is unknown or revoked.",
    403: "A session was used from a page that is not ours.",
    429: "Too many requests with this key, or too many bad ones from this address.",
}
_RETRY_STATUSES: Final = ("429", "503")
"""Statuses that always have a Retry-After header. (One kind of 409 has it too.)"""
_WITH_CONTENT: Final = ("200", "202", "206")

_SCHEMES: Final = {
    "key": {"type": "apiKey", "in": "header", "name": "API-KEY"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
}
_IN_PATH: Final[Mapping[str, tuple[str, ResponseTexts]]] = {
    "job_id": (AN_ID, {404: "There is no such job, or it belongs to another user."}),
    "delivery_id": (A_MESSAGE, {404: "There is no such delivery, or it belongs to another user."}),
    "provider": ("samsar", {}),
    "token": ("eyJqIjoiMSJ9.c2lnbmF0dXJl", {}),
}
"""An example of each parameter in a path, and the error responses that it may cause."""
_WEBHOOK_HEADERS: Final = {
    "webhook-id": "The same at every attempt: drop what you have seen before.",
    "webhook-timestamp": "When this attempt was made, in seconds.",
    "webhook-signature": "`v1,…`; two of them for a day after the secret was rotated.",
}


def openapi_json(rows: Collection[Row[Any]], settings: ServeSettings) -> OpenHandler:
    """The handler of `GET /openapi.json`. The document is made when it is first requested, in a
    thread: most processes never need it."""

    @cache
    def response() -> Response:
        return json_response(openapi_document(rows, settings))

    one = asyncio.Lock()  # on Python 3.11, `ast.parse` can fail when two threads run it at once

    async def handler(_context: ApiContext, _request: Request) -> Response:
        async with one:
            return await asyncio.to_thread(response)

    return handler


def openapi_document(rows: Iterable[Row[Any]], settings: ServeSettings) -> dict[str, Any]:
    """Describe all rows that have an operation, with the configured models."""
    described = [(row, found) for row in rows if (found := operation_of(row.handler)) is not None]
    schemas = _schemas([operation for _, operation in described], settings)
    paths: dict[str, dict[str, Any]] = {}
    for row, operation in described:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "receiver",
            "version": version("job-receiver"),
            "summary": "Submits slow, costly jobs to an asynchronous API and never loses one.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": _name(group), "description": group.value} for group in Group],
        "paths": paths,
        "webhooks": {"job": {"post": _webhook()}},
        "components": {"securitySchemes": _SCHEMES, "schemas": schemas},
    }


def _schemas(operations: Iterable[Operation], settings: ServeSettings) -> dict[str, Schema]:
    """All named schemas, and an example of each object that is a body."""
    found = chain.from_iterable((each.body, each.responds) for each in operations)
    types = [each for each in (*found, KnownProvider, Problem, Relay) if hasattr(each, "__name__")]
    schemas = schemas_of(dict.fromkeys(types)) | configured(settings)
    for schema in (schemas[each.__name__] for each in types):
        if "properties" in schema:
            schema.setdefault("examples", [example_of(schema, schemas)])
    return schemas


def _operation(row: Row[Any], operation: Operation, schemas: Mapping[str, Schema]) -> Schema:
    parameters = [*_path_parameters(row.path), *operation.parameters]
    causes = [parameter.problems for parameter in parameters]
    if operation.body is not None:
        causes.append(_WITH_BODY)
    if row.credential is ADMIN_KEY:
        causes.append({403: "The key is not an admin's."})
    if row.credential.schemes:
        causes.append(_WITH_KEY)
    responses = _responses(row, operation.responds, [*causes, _ON_EVERY_ROUTE], schemas)
    described: Schema = {
        "operationId": re.sub(r"_(.)", lambda found: found[1].upper(), row.handler.__name__),
        "summary": summary_of(row.handler),
        "tags": [_name(operation.group)],
        "security": [{scheme: []} for scheme in row.credential.schemes],
        "responses": dict(sorted(responses.items())),
    }
    if parameters:
        described["parameters"] = [_parameter(each) for each in parameters]
    if operation.body is not None:
        content = _content(operation.body, schemas)
        described["requestBody"] = {"required": operation.body_required, "content": content}
    return described


def _path_parameters(path: str) -> Iterator[Parameter]:
    for name in re.findall(r"\{(\w+)\}", path):
        example, problems = _IN_PATH[name]
        schema = {"type": "string", "examples": [example]}
        yield Parameter(name, "", schema, "path", required=True, problems=problems)


def _responses(
    row: Row[Any], responds: Any, causes: Iterable[ResponseTexts], schemas: Mapping[str, Schema]
) -> Schema:
    """The responses in the handler's docstring, and the error responses by their causes."""
    described: Schema = {}
    problems: defaultdict[str, list[str]] = defaultdict(list)
    for status, text, headers in responses_of(row.handler):
        if status >= "4":
            problems[status].append(text)
            continue
        described[status] = _response(text, headers)
        if responds is not None and status in _WITH_CONTENT:
            content = _content(responds, schemas)
            if responds is File and status == "200":
                content |= _content(Result, schemas)
            described[status]["content"] = content
    for code, text in chain.from_iterable(cause.items() for cause in causes):
        problems[str(code)].append(text)
    wait = {"Retry-After": "Seconds to wait before trying again."}
    for status, texts in problems.items():
        described[status] = _response(" ".join(texts), wait if status in _RETRY_STATUSES else {})
        described[status]["content"] = {CONTENT_TYPE: {"schema": ref(Problem.__name__)}}
    return described


def _response(description: str, headers: Mapping[str, str]) -> Schema:
    named = {"X-Request-ID": "Names the request in the log.", **headers}
    schema = {"type": "string"}
    return {
        "description": description,
        "headers": {name: {"description": t, "schema": schema} for name, t in named.items()},
    }


def _parameter(parameter: Parameter) -> Schema:
    described: Schema = {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    return described | ({"description": parameter.description} if parameter.description else {})


def _content(document: Any, schemas: Mapping[str, Schema]) -> Schema:
    if isinstance(document, TextResponse):
        return {document.media_type: {"example": document.example}}
    schema = ref(document.__name__)
    media_type = "application/octet-stream" if document is File else "application/json"
    return {media_type: {"schema": schema, "example": example_of(schema, schemas)}}


def _webhook() -> Schema:
    headers = [
        _parameter(Parameter(name, text, location="header", required=True))
        for name, text in _WEBHOOK_HEADERS.items()
    ]
    return {
        "operationId": "jobWebhook",
        "summary": "The message sent to `webhookUrl`, signed by the Standard Webhooks rules",
        "tags": [_name(Group.WEBHOOKS)],
        "parameters": headers,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ref(Relay.__name__)}},
        },
        "responses": {
            "2XX": {"description": "Delivered."},
            "410": {"description": "Send no more for this job."},
            "default": {"description": "It is sent again by the schedule."},
        },
    }


def _name(group: Group) -> str:
    return group.name.replace("_", " ").capitalize().replace("api", "API")
