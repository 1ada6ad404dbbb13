"""The API's description as addresses: `/openapi.json` for programs, `/docs` for people."""

from collections.abc import Iterable

from starlette.responses import Response
from starlette.types import ASGIApp

from receiver.domain.announcements import compact_json
from receiver.http_api.docs_page import render
from receiver.http_api.openapi import openapi_document
from receiver.http_api.parts import Endpoint, Parts
from receiver.http_api.row import Row


def openapi_json(rows: Iterable[Row]) -> Endpoint:
    """The endpoint of `GET /openapi.json`."""

    def bind(parts: Parts) -> ASGIApp:
        return Response(
            compact_json(openapi_document(rows, parts.settings)), media_type="application/json"
        )

    return bind


def docs(rows: Iterable[Row]) -> Endpoint:
    """The endpoint of `GET /docs`: the same document as a page."""

    def bind(parts: Parts) -> ASGIApp:
        page, policy = render(openapi_document(rows, parts.settings))
        return Response(
            page,
            media_type="text/html",
            headers={
                "Content-Security-Policy": policy,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            },
        )

    return bind
