"""The sandbox without sockets, as a simulation in virtual time drives it."""

import asyncio
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.sandbox.app import create_app
from receiver.sandbox.rules import SandboxRules
from tests.sandbox.conftest import SAMSAR, HandClock


async def test_rendering_in_virtual_time(clock: HandClock, movie: dict[str, Any]) -> None:
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(request: Request) -> Response:
        received.put_nowait(await request.json())
        return Response()

    receiver = Starlette(routes=[Route("/hook", take, methods=["POST"])])
    app = create_app(
        SandboxRules(render_seconds=7200, seed=1),
        clock,
        "http://sandbox",
        None,
        SAMSAR,
        callback_transport=httpx.ASGITransport(receiver),
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://sandbox/v1/video/",
            headers={"API-KEY": "any"},
        ) as client,
    ):
        body = {"input": movie, "webhookUrl": "http://receiver/hook"}
        made = await client.post("create_movie", json=body)
        for expected in (25, 50, 75, 100):
            clock.advance(1800)
            callback = await received.get()
            assert callback["progress"] == expected
            status = await client.get("status", params=made.json())
            assert callback == {**made.json(), **status.json()}
