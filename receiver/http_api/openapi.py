"""The OpenAPI 3.1 document of the API, made of the route table that serves it."""

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from receiver.http_api.answer_schemas import ANSWERS, Schema, ref
from receiver.http_api.errors import CONTENT_TYPE
from receiver.http_api.operations import Answer, Group, Operation, Parameter, Problems
from receiver.http_api.parts import Credential
from receiver.http_api.request_schemas import request_schemas
from receiver.http_api.row import Row
from receiver.settings import ServeSettings

_EVERYWHERE: Final[Problems] = {
    414: "Path and query are too long.",
    431: "The headers are too large, or too many.",
    500: "A fault of ours; the log has it under this answer's X-Request-ID.",
    503: "Nothing can be stored or looked up at the moment, or there is too much load.",
}
_WITH_BODY: Final[Problems] = {
    408: "The body took too long.",
    413: "The body is too large.",
    415: "The body has a Content-Encoding.",
}
_WITH_KEY: Final[Problems] = {
    400: "The key is missing.",
    401: "The key is unknown or revoked.",
    403: "A session was used from another page than ours.",
    429: "Too many requests with this key, or too many bad ones from this address.",
}
_RETRYING: Final = frozenset({429, 503})
"""Statuses that come with Retry-After."""

_SECURITY: Final[Mapping[Credential, list[dict[str, list[str]]]]] = {
    Credential.NONE: [],
    Credential.TOKEN: [],  # it stands in the path
    Credential.KEY: [{"key": []}, {"bearer": []}],
    Credential.STREAM: [{"key": []}, {"bearer": []}, {"ticket": []}],
}
_SCHEMES: Final = {
    "key": {"type": "apiKey", "in": "header", "name": "API-KEY"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
}
_WEBHOOK_HEADERS: Final = {
    "webhook-id": "The same at every attempt: what has been seen before is a repetition.",
    "webhook-timestamp": "When this attempt was made, in seconds.",
    "webhook-signature": "`v1,…`, and a second one for a day after the secret was rotated.",
}


def openapi_document(rows: Iterable[Row], settings: ServeSettings) -> dict[str, Any]:
    """The document of every row that has an operation; the models are those configured."""
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.operation is not None:
            paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, row.operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "receiver",
            "version": version("receiver"),
            "summary": "Submits slow, costly jobs to an asynchronous API and never loses one.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": _name(group), "description": group.value} for group in Group],
        "paths": paths,
        "webhooks": {"job": {"post": _webhook()}},
        "components": {
            "securitySchemes": _SCHEMES,
            "schemas": {**request_schemas(settings), **ANSWERS},
        },
    }


def _operation(row: Row, operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.told,
        "tags": [_name(operation.group)],
        "security": _SECURITY[row.credential],
        "responses": _responses(row, operation),
    }
    parameters = [
        _parameter(Parameter(name, {"type": "string"}, "", "path", required=True))
        for name in re.findall(r"\{(\w+)\}", row.path)
    ]
    parameters += map(_parameter, operation.parameters)
    if parameters:
        told["parameters"] = parameters
    if operation.body is not None:
        told["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": ref(operation.body)}},
        }
    return told


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    return told | ({"description": parameter.told} if parameter.told else {})


def _responses(row: Row, operation: Operation) -> dict[str, Any]:
    common = dict(_EVERYWHERE)
    if operation.body is not None:
        common |= _WITH_BODY
    if row.credential in (Credential.KEY, Credential.STREAM):
        common |= _WITH_KEY
    told = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    told |= {
        str(status): _problem(status, text)
        for status, text in _both(common, operation.problems).items()
    }
    return dict(sorted(told.items()))


def _both(common: Problems, own: Problems) -> Problems:
    """What an operation says of a status comes before what all say of it."""
    return {
        **common,
        **{
            status: f"{text} {common[status]}" if status in common else text
            for status, text in own.items()
        },
    }


def _answer(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.told, "headers": _headers(answer.headers)}
    if answer.schema is not None:
        told["content"] = {answer.media_type: {"schema": ref(answer.schema)}}
    elif answer.text is not None:
        told["content"] = {answer.media_type: {"example": answer.text}}
    return told


def _problem(status: int | str, told: str) -> dict[str, Any]:
    headers = {"Retry-After": "Seconds until it may go better."} if status in _RETRYING else {}
    return {
        "description": told,
        "headers": _headers(headers),
        "content": {CONTENT_TYPE: {"schema": ref("Problem")}},
    }


def _headers(headers: Mapping[str, str]) -> dict[str, Any]:
    named = {"X-Request-ID": "Names the request in the log.", **headers}
    return {
        name: {"description": told, "schema": {"type": "string"}} for name, told in named.items()
    }


def _webhook() -> dict[str, Any]:
    headers: list[Schema] = [
        _parameter(Parameter(name, {"type": "string"}, told, "header", required=True))
        for name, told in _WEBHOOK_HEADERS.items()
    ]
    return {
        "operationId": "jobWebhook",
        "summary": "What we send to `webhookUrl`, signed by the Standard Webhooks rules",
        "tags": [_name(Group.RELAYS)],
        "parameters": headers,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ref("Relay")}},
        },
        "responses": {
            "2XX": {"description": "Delivered."},
            "410": {"description": "Send no more for this job."},
            "default": {"description": "It is sent again, by the schedule."},
        },
    }


def _name(group: Group) -> str:
    return group.name.replace("_", " ").capitalize()
