"""Serves the API's description: `/openapi.json` for programs, `/docs` for people.

Each is made at its first request, in a thread: most processes are never asked.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import OpenHandler
from receiver.http_api.docs_page import POLICY, render
from receiver.http_api.openapi import openapi_document
from receiver.http_api.responses import json_response
from receiver.http_api.row import Row


def openapi_json(rows: Iterable[Row[Any]]) -> OpenHandler:
    """The handler of `GET /openapi.json`."""
    return _made_once(lambda context: json_response(openapi_document(rows, context.settings)))


def docs(rows: Iterable[Row[Any]]) -> OpenHandler:
    """The handler of `GET /docs`: the same document as a page."""

    def page(context: ApiContext) -> Response:
        document = openapi_document(rows, context.settings)
        return Response(
            render(document, context.settings.public_url),
            media_type="text/html",
            headers={
                "Content-Security-Policy": POLICY,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            },
        )

    return _made_once(page)


def _made_once(make: Callable[[ApiContext], Response]) -> OpenHandler:
    async def handler(context: ApiContext, request: Request) -> Response:
        path = request.url.path
        if path not in context.made_once:
            context.made_once[path] = await asyncio.to_thread(make, context)
        return context.made_once[path]

    return handler
