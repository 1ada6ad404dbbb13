"""API keys, for admins: internal routes of the dashboard (docs/dashboard.md)."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from receiver.actions.keys import UserNameRefused, issue_key
from receiver.domain.serialization import timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.body import read_object
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Fault, Problem, invalid
from receiver.http_api.responses import NOT_STORED, json_response
from store.errors import AmbiguousPrefix

_MAX_BODY = 4_096


async def list_keys(context: ApiContext, _: Request, caller: Caller) -> Response:
    """`GET /session/keys`: all keys by their first characters, oldest first."""
    keys = [
        {
            "prefix": key.prefix,
            "user": key.user,
            "admin": key.admin,
            "created_at": timestamp(key.created_at),
            "revoked_at": timestamp(key.revoked_at),
            "current": key.hash == caller.key_hash,
        }
        for key in await context.services.store.keys.list_all()
    ]
    return json_response({"keys": keys}, headers=NOT_STORED)


async def create(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """`POST /session/keys` `{"user", "admin"?}`: create a key, and the user if the name is new. It
    is shown once, with the user's signing secret."""
    body = await read_object(request, _MAX_BODY)
    user, admin = body.get("user"), body.get("admin", False)
    if not isinstance(user, str) or not isinstance(admin, bool) or {*body} - {"user", "admin"}:
        raise invalid([Fault("", 'Send {"user": NAME}, and "admin": true for an admin\'s key.')])
    store, now = context.services.store, context.services.clock.now()
    try:
        made = await issue_key(store, now, context.entropy, user, admin=admin)
    except UserNameRefused as refusal:
        raise invalid([Fault("/user", f"{refusal}.")]) from None
    return json_response(asdict(made), 201, NOT_STORED)


async def revoke(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """`DELETE /session/keys/{prefix}`: revoke the active key with this prefix."""
    prefix, now = request.path_params["prefix"], context.services.clock.now()
    try:
        await context.services.store.keys.revoke(prefix, now)
    except AmbiguousPrefix:
        raise Problem(
            409, "ambiguous_prefix", "Several keys have this prefix; nothing was revoked."
        ) from None
    return Response(status_code=204)
