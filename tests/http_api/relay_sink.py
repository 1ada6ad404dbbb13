"""A user's webhook endpoint: a server that answers as a test says, and records what arrives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.asgi_server import asgi_server, while_connected
from tests.support.service import wait_for_length


@dataclass(frozen=True)
class Message:
    """One POST that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The body, if one of the signatures is made with the secret. Raises otherwise."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[Message], Awaitable[Response]]


@dataclass
class Sink:
    """Answers every message with 200, unless `answer` is set."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    answer: Answer | None = None

    def hold(self) -> asyncio.Event:
        """Answer messages only once the event is set."""
        release = asyncio.Event()

        async def answer(_: Message) -> Response:
            await release.wait()
            return Response()

        self.answer = answer
        return release

    async def arrived(self, count: int) -> list[Message]:
        """Wait for this many messages; returns all that arrived."""
        await wait_for_length(self.messages, count, f"message {count}")
        return self.messages

    async def take(self, request: Request) -> Response:
        message = Message(request.url.path, dict(request.headers), await request.body())
        self.messages.append(message)
        if self.answer is None:
            return Response()
        return await while_connected(request, self.answer(message))


def always(status_code: int, body: str = "", **headers: str) -> Answer:
    """Answers every message like this."""

    async def answer(_: Message) -> Response:
        return Response(body, status_code, headers)

    return answer


@asynccontextmanager
async def relay_sink() -> AsyncIterator[Sink]:
    """Serve a sink until the block is left."""
    sink = Sink()
    app = Starlette(routes=[Route("/{path:path}", sink.take, methods=["POST"])])
    async with asgi_server(app) as url:
        sink.url = f"{url}/hook"
        yield sink
