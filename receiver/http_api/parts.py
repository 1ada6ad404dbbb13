"""What the HTTP edge works with, and how a handler becomes an endpoint."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.actions.core import Core
from receiver.http_api.auth import Authenticator, Caller
from receiver.http_api.cursors import Cursors
from receiver.http_api.limits import RateLimit
from receiver.http_api.sessions import Sessions
from receiver.settings import ServeSettings
from receiver.streams.broadcast import Broadcast
from receiver.streams.hub import Hub
from receiver.streams.tickets import Tickets
from receiver.webhooks.tokens import CallbackTokens


@dataclass(slots=True)
class Parts:
    """The parts of a running service that requests use."""

    core: Core
    settings: ServeSettings
    hub: Hub
    broadcast: Broadcast
    auth: Authenticator
    sessions: Sessions
    rate_limit: RateLimit
    tokens: CallbackTokens
    tickets: Tickets
    cursors: Cursors
    chance: Callable[[int, int], int]
    """A random whole number between two, both included."""
    stopping: bool = False
    """Shutting down: whoever waits is answered now."""
    open_streams: dict[str, int] = field(default_factory=dict)
    """By key hash."""


class Credential(Enum):
    """What a route asks for."""

    NONE = "none"
    KEY = "key"
    TOKEN = "callback token"
    STREAM = "key or ticket"


OpenHandler: TypeAlias = Callable[[Parts, Request], Awaitable[Response]]
KeyHandler: TypeAlias = Callable[[Parts, Request, Caller], Awaitable[Response]]
RawHandler: TypeAlias = Callable[[Parts, Scope, Receive, Send], Awaitable[None]]
Endpoint: TypeAlias = Callable[[Parts], ASGIApp]


def for_everyone(handler: OpenHandler) -> Endpoint:
    """An endpoint that asks for no credential."""

    def bind(parts: Parts) -> ASGIApp:
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            response = await handler(parts, Request(scope, receive))
            await response(scope, receive, send)

        return endpoint

    return bind


def for_key(handler: KeyHandler) -> Endpoint:
    """An endpoint that asks for an API key, and counts against its rate."""

    def bind(parts: Parts) -> ASGIApp:
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            caller = await parts.auth.caller(scope)
            parts.rate_limit.take(caller.key_hash)
            response = await handler(parts, Request(scope, receive), caller)
            await response(scope, receive, send)

        return endpoint

    return bind


def for_key_cheaply(handler: KeyHandler) -> Endpoint:
    """As `for_key`, for the cheap reads that the rate leaves out (contract 2, RATE_LIMIT)."""

    def bind(parts: Parts) -> ASGIApp:
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            caller = await parts.auth.caller(scope)
            response = await handler(parts, Request(scope, receive), caller)
            await response(scope, receive, send)

        return endpoint

    return bind


def close_to_asgi(handler: RawHandler) -> Endpoint:
    """An endpoint that sends its answer itself: the hot route, and streams."""

    # No function around it: a stream holds every frame of its call for as long as it is open.
    return lambda parts: partial(handler, parts)
