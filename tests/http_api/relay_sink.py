"""A user's webhook address: a real server that answers as a test says, and keeps what came."""

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

from receiver.server.serve import listen, origin, serving
from tests.support.service import eventually


@dataclass(frozen=True)
class Message:
    """One POST, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The body, where one of the signatures is the secret's. Raises where none is."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[Message], Awaitable[Response]]


@dataclass
class Sink:
    """Takes every message with 200, unless `answer` is set."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    answer: Answer | None = None

    def hold(self, status_code: int = 200) -> asyncio.Event:
        """Answer messages only once the event is set."""
        release = asyncio.Event()

        async def answer(_: Message) -> Response:
            await release.wait()
            return Response(status_code=status_code)

        self.answer = answer
        return release

    async def arrived(self, count: int) -> list[Message]:
        """Wait for that many messages; all that came."""

        async def look() -> int:
            return len(self.messages)

        await eventually(look, lambda seen: seen >= count, f"message {count}")
        return self.messages

    async def take(self, request: Request) -> Response:
        message = Message(request.url.path, dict(request.headers), await request.body())
        self.messages.append(message)
        if self.answer is None:
            return Response()
        answering = asyncio.ensure_future(self.answer(message))
        going = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({answering, going}, return_when=asyncio.FIRST_COMPLETED)
            return answering.result() if answering.done() else Response(status_code=499)
        finally:
            answering.cancel()
            going.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def always(status_code: int, **headers: str) -> Answer:
    """Answers each message so."""

    async def answer(_: Message) -> Response:
        return Response(status_code=status_code, headers=headers)

    return answer


@asynccontextmanager
async def relay_sink() -> AsyncIterator[Sink]:
    """Serve a sink until the block is left."""
    sink = Sink()
    app = Starlette(routes=[Route("/{path:path}", sink.take, methods=["POST"])])
    with listen("127.0.0.1", 0) as listener:
        sink.url = origin(listener) + "/hook"
        async with serving(app, listener, grace=0):
            yield sink
