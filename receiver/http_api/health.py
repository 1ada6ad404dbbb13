"""What operators and their machines ask (contract 11)."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.announcements import compact_json
from receiver.http_api.errors import Problem
from receiver.http_api.parts import Parts
from receiver.metrics import CONTENT_TYPE
from store.errors import StoreUnavailable

_OK = compact_json({"status": "ok"})


async def livez(_parts: Parts, _request: Request) -> Response:
    """`GET /livez`: the process answers."""
    return Response(_OK, media_type="application/json")


async def readyz(parts: Parts, _request: Request) -> Response:
    """`GET /readyz`: could a callback be stored now? Found out by storing something."""
    if parts.stopping:
        raise Problem(503, "stopping", "Shutting down.", headers={"Retry-After": "5"})
    try:
        await parts.core.store.check_writable()
    except StoreUnavailable as error:
        word = type(error).__name__.removeprefix("Store").lower()
        raise Problem(
            503, word, "A callback could not be stored now.", headers={"Retry-After": "2"}
        ) from error
    return Response(_OK, media_type="application/json")


async def metrics(parts: Parts, _request: Request) -> Response:
    """`GET /metrics`, for Prometheus."""
    return Response(parts.core.metrics.render(), headers={"Content-Type": CONTENT_TYPE})
