"""The dashboard's session: sign in, sign out, and who is signed in."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.actions.keys import hash_key
from receiver.http_api.auth import Caller
from receiver.http_api.body import read_object
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Fault, invalid
from receiver.http_api.responses import NOT_STORED, json_response
from receiver.http_api.sessions import require_own_page

_MAX_BODY = 4096


async def show_session(context: ApiContext, request: Request) -> Response:
    """`GET /session`: `user` (null if nobody is signed in), `admin` and `retention_days`."""
    key_hash = context.sessions.key_hash(request.scope)
    return _answer(context, None if key_hash is None else await context.auth.known(key_hash))


async def sign_in(context: ApiContext, request: Request) -> Response:
    """`POST /session` `{"key"}`, or `{"token"}` from a one-time link: open a session and set its
    cookie."""
    require_own_page(request)  # against login CSRF
    given = await read_object(request, _MAX_BODY)
    match given:
        case {"token": str(token)}:
            key_hash = context.sessions.redeem(token)
        case {"key": str(key)} if key.strip():
            key_hash = hash_key(key.strip())
        case _:
            raise invalid([Fault("/key", "key must be your API key.")])
    caller = None if key_hash is None else await context.auth.known(key_hash)
    if caller is None:
        context.auth.refuse(request.scope)
    response = _answer(context, caller)
    context.sessions.open(response, caller.key_hash)
    return response


async def sign_out(context: ApiContext, request: Request) -> Response:
    """`DELETE /session`: delete the cookie."""
    require_own_page(request)
    response = _answer(context, None)
    context.sessions.end(response)
    return response


def _answer(context: ApiContext, caller: Caller | None) -> Response:
    document = {
        "user": caller and caller.user,
        "admin": caller is not None and caller.admin,
        "retention_days": context.settings.retention_days,
    }
    return json_response(document, headers=NOT_STORED)
