"""Routes for admins: the users, and the holds on submissions to providers that limit our rate."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.holds import NO_HOLDS, current
from receiver.domain.serialization import timestamp
from receiver.http_api import documents
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import not_found
from receiver.http_api.queries import PAGE, check_parameters, read_page
from receiver.http_api.responses import json_response
from store.keys import UserSummary
from store.records.holds import Hold


async def list_users(context: ApiContext, request: Request, caller: Caller) -> Response:
    """List users, by name."""
    page = await read_page(context, request, caller, "users", *PAGE)
    found = await context.services.store.keys.list_users(page.after or "", page.limit + 1)
    users = found[: page.limit]
    last = users[-1].name if len(found) > page.limit else None
    return await page.response(map(_user_document, users), last)


async def list_holds(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """List the current holds on submissions to providers that limit our rate."""
    check_parameters(request)
    now = context.services.clock.now()
    found = await context.services.store.holds.read()
    holds = [
        _hold_document(provider, hold, is_of_all=is_of_all)
        for provider, known in sorted(found.items())
        for is_of_all, hold in current(known, now)
    ]
    return json_response(documents.Holds(holds=holds))


async def end_holds(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """End a provider's holds."""
    provider = request.path_params["provider"]
    holds = context.services.store.holds
    if provider in await holds.read():
        await holds.change(provider, lambda _: NO_HOLDS)
    elif provider not in context.services.providers:
        raise not_found()
    return Response(status_code=204)


def _user_document(user: UserSummary) -> documents.User:
    return {
        "user": user.name,
        "created_at": timestamp(user.created_at),
        "keys": user.keys,
        "unfinished": user.unfinished,
    }


def _hold_document(provider: str, hold: Hold, *, is_of_all: bool) -> documents.Hold:
    last = hold.refusals[-1]
    return {
        "provider": provider,
        "user": None if is_of_all else last.user,
        "until": timestamp(hold.until),
        "request_id": last.request_id,
        "status_code": last.status_code,
    }
