"""The credential that a route requires, and how its check wraps the handler. A row of the route
table becomes an endpoint only through its credential, so no route can skip the check."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeAlias, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.http_api import tickets
from receiver.http_api.auth import Caller, unauthorized
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import CONTENT_TYPE, Problem
from receiver.signed_text import Purpose

ANY: Final = "*"
"""Any method of a path."""
NO_TICKET: Final = "The ticket is not valid for this stream, has expired, or its key was revoked."

Handler = TypeVar("Handler")

OpenHandler: TypeAlias = Callable[[ApiContext, Request], Awaitable[ASGIApp]]
KeyHandler: TypeAlias = Callable[[ApiContext, Request, Caller], Awaitable[ASGIApp]]
CallbackHandler: TypeAlias = Callable[[ApiContext, str, Scope, Receive, Send], Awaitable[None]]
"""Sends its own response. The `str` is the job id in the token."""


Credential: TypeAlias = Callable[[ApiContext, Handler], ASGIApp]
"""What a route requires: makes an endpoint of a handler behind it."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[Handler]):
    """One route: its path, the credential that it requires, and the handler behind that."""

    method: str
    path: str
    credential: Credential[Handler]
    handler: Handler
    problem_type: str = CONTENT_TYPE
    """The media type of its problems."""


def _bind_public(context: ApiContext, handler: OpenHandler) -> ASGIApp:
    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(context, Request(scope, receive))
        await response(scope, receive, send)

    return endpoint


def _bind_by(
    identify: Callable[[ApiContext, Scope], Awaitable[Caller]],
) -> Callable[[ApiContext, KeyHandler], ASGIApp]:
    """Wraps a handler so that it gets the caller from `identify`, which raises Problem if there is
    none."""

    def bind(context: ApiContext, handler: KeyHandler) -> ASGIApp:
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            caller = await identify(context, scope)
            response = await handler(context, Request(scope, receive), caller)
            await response(scope, receive, send)

        return endpoint

    return bind


async def _rate_limited_caller(context: ApiContext, scope: Scope) -> Caller:
    caller = await context.auth.caller(scope)
    context.rate_limit.take(caller.key_hash)
    return caller


async def _admin(context: ApiContext, scope: Scope) -> Caller:
    caller = await _rate_limited_caller(context, scope)
    if not caller.admin:
        raise Problem(403, "admin_only", "This needs an admin key.")
    return caller


async def _caller_by_key_or_ticket(context: ApiContext, scope: Scope) -> Caller:
    text = Request(scope).query_params.get("ticket")
    if not text:
        return await _rate_limited_caller(context, scope)
    ticket = tickets.read(context.signer, text, context.services.clock.now())
    if ticket is None:
        context.auth.refuse(NO_TICKET)
    holder = await context.auth.caller_of_key(ticket.key_hash)
    if holder is None or holder.user_id != ticket.user_id:
        context.auth.refuse(NO_TICKET)
    context.rate_limit.take(holder.key_hash)
    if ticket.request_id is None:
        return replace(holder, admin=False)  # an admin's ticket too reads only their own jobs
    if ticket.request_id != scope.get("path_params", {}).get("job_id"):
        raise unauthorized(NO_TICKET)
    return holder


def _bind_by_token(context: ApiContext, handler: CallbackHandler) -> ASGIApp:
    # Not a coroutine, since this is the hot route. An exception still becomes a response.
    def endpoint(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        provider, token = scope["path_params"]["provider"], scope["path_params"]["token"]
        path = context.signer.verify(Purpose.CALLBACK, f"{provider}/{token}")
        if path is None:
            context.services.metrics.count_callback("unknown", "unauthorized")
            raise Problem(401, "bad_token", "This is not a valid callback URL.")
        if provider not in context.services.providers:
            detail = f"The provider {provider} is not configured now. Nothing was saved."
            raise Problem(503, "provider_not_configured", detail, headers={"Retry-After": "60"})
        return handler(context, path.removeprefix(f"{provider}/"), scope, receive, send)

    return endpoint


def _bind_one_by_one(context: ApiContext, handler: KeyHandler) -> ASGIApp:
    async def when_free(context: ApiContext, request: Request, caller: Caller) -> ASGIApp:
        async with context.long_read_locks.of(caller.user_id):
            if await request.is_disconnected():
                raise ClientDisconnect
            return await handler(context, request, caller)

    return KEY(context, when_free)


PUBLIC: Final = _bind_public
KEY: Final = _bind_by(_rate_limited_caller)
"""An API key or a session; the request counts against its rate limit."""
KEY_ONE_BY_ONE: Final = _bind_one_by_one
"""Like `KEY`, but a user's requests are served one by one, for long reads."""
KEY_WITHOUT_RATE_LIMIT: Final = _bind_by(lambda context, scope: context.auth.caller(scope))
"""Like `KEY`, but without the rate limit, for cheap reads."""
ADMIN_KEY: Final = _bind_by(_admin)
"""Like `KEY`, but only an admin's."""
KEY_OR_TICKET: Final = _bind_by(_caller_by_key_or_ticket)
"""For event streams."""
CALLBACK_TOKEN: Final = _bind_by_token
"""The token in a callback's path, which names its job."""
