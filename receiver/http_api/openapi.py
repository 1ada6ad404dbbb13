"""`GET /openapi.json`: the OpenAPI 3.1 document in `openapi.json`, with what the settings decide.

The document is written by hand. The tests hold every response that they see against it, and its
lists of words and members against the code.
"""

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import OpenHandler
from receiver.http_api.responses import json_response

Words: TypeAlias = Mapping[str, Collection[str]]
"""By name of a schema: the words that it allows."""


def openapi_json(paths: Collection[str], words: Words) -> OpenHandler:
    """The handler of `GET /openapi.json`. Most processes never need the document, so it is made
    when it is first requested."""

    @cache
    def response(root: str) -> Response:
        return json_response(openapi_document(paths, words, root))

    async def handler(context: ApiContext, _request: Request) -> Response:
        return response(context.settings.root)

    return handler


def openapi_document(paths: Collection[str], words: Words, root: str = "") -> dict[str, Any]:
    """The document with these paths of it, below `root`, and these words in its schemas."""
    written = (files("receiver.http_api") / "openapi.json").read_bytes()
    document: dict[str, Any] = json.loads(written)
    document["servers"] = [{"url": root or "/"}]
    document["info"]["version"] = version("job-receiver")
    document["paths"] = {path: it for path, it in document["paths"].items() if path in paths}
    for name, allowed in words.items():
        document["components"]["schemas"][name]["enum"] = sorted(allowed)
    return document
