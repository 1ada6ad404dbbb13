"""The baselines: ASGI applications behind uvicorn at its fastest, without an access log:
`python -m tests.benchmarks.peers NAME PORT`. The baseline `logged` is the no-op with uvicorn's
access log, which is on by default: our service writes one too."""

import asyncio
import socket
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def _noop(request: Request) -> Response:
    return JSONResponse({"status": "accepted"})


async def _noop_with_body(request: Request) -> Response:
    await request.body()
    return JSONResponse({"status": "accepted"})


def _sse_starlette() -> Starlette:
    """Fan-out as sse-starlette's users write it: a queue and a generator for each stream."""
    # Imported here because the import patches uvicorn's exit handler.
    from sse_starlette import EventSourceResponse

    readers: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)

    async def follow(request: Request) -> Response:
        async def events() -> AsyncIterator[dict[str, Any]]:
            queue: asyncio.Queue[str] = asyncio.Queue()
            readers[request.path_params["user"]].add(queue)
            yield {"retry": 2000, "data": "{}"}
            try:
                while True:
                    yield {"event": "update", "id": "1", "data": await queue.get()}
            finally:
                readers[request.path_params["user"]].discard(queue)

        return EventSourceResponse(events())

    async def publish(request: Request) -> Response:
        text = (await request.body()).decode()
        for queue in readers[request.path_params["user"]]:
            queue.put_nowait(text)
        return JSONResponse({"status": "accepted"})

    return Starlette(
        routes=[Route("/events/{user}", follow), Route("/events/{user}", publish, methods=["POST"])]
    )


def _app(name: str) -> Starlette:
    if name == "sse-starlette":
        return _sse_starlette()
    return Starlette(
        routes=[
            Route("/webhooks/{provider}/{token}", _noop_with_body, methods=["POST"]),
            Route("/noop", _noop),
            Route("/noop", _noop_with_body, methods=["POST"]),
        ]
    )


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


if __name__ == "__main__":
    name, port = sys.argv[1:]
    # Nobody reads stdout after the first line.
    uvicorn.config.LOGGING_CONFIG["handlers"]["access"]["stream"] = "ext://sys.stderr"
    _Server(
        uvicorn.Config(
            _app(name),
            port=int(port),
            http="httptools",
            loop="uvloop",
            lifespan="off",
            access_log=name == "logged",
            log_level="info" if name == "logged" else "warning",
        )
    ).run()
