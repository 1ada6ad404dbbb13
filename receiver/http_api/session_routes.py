"""Internal routes of the dashboard (docs/dashboard.md): its session, and metrics and API keys for
admins."""

from dataclasses import asdict
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import timestamp
from receiver.engine.keys import (
    UserNameRefused,
    hash_key,
    issue_key,
    key_document,
    rotate_secret,
)
from receiver.http_api.auth import Caller
from receiver.http_api.body import parse_object, read_body
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import invalid, or_404
from receiver.http_api.health import metrics
from receiver.http_api.queries import PAGE, read_page
from receiver.http_api.responses import json_response
from receiver.http_api.sessions import require_same_origin

BODY_BYTES: Final = 4 * 1024
"""Of a request: it has a key, or a name."""

# --- the session ----------------------------------------------------------------------------------


async def show_session(context: ApiContext, request: Request) -> Response:
    """`GET /session`: `user` (null if nobody is signed in), `admin` and `retention_days`."""
    key_hash = context.sessions.key_hash(request.scope)
    return _session(
        context, None if key_hash is None else await context.auth.caller_of_key(key_hash)
    )


async def sign_in(context: ApiContext, request: Request) -> Response:
    """`POST /session` `{"key"}`: open a session and set its cookie."""
    require_same_origin(request)  # against login CSRF
    match parse_object(await read_body(request, BODY_BYTES)):
        case {"key": str(key)} if key.strip():
            caller = await context.auth.caller_of_key(hash_key(key.strip()))
        case _:
            raise invalid("/key", "key must be your API key.")
    if caller is None:
        context.auth.refuse()
    response = _session(context, caller)
    context.sessions.open(response, caller.key_hash)
    return response


async def sign_out(context: ApiContext, request: Request) -> Response:
    """`DELETE /session`: delete the cookie."""
    require_same_origin(request)
    response = _session(context, None)
    context.sessions.end(response)
    return response


def _session(context: ApiContext, caller: Caller | None) -> Response:
    document = {
        "user": caller and caller.user,
        "admin": caller is not None and caller.admin,
        "retention_days": context.settings.retention_days,
    }
    return json_response(document)


async def signing_secret(context: ApiContext, request: Request, caller: Caller) -> Response:
    """`POST /session/secret` `{"key", "rotate"?}`: the user's signing secret, or a new one. The key
    is asked for again: an open page alone must not be enough."""
    body = parse_object(await read_body(request, BODY_BYTES))
    key, rotate = body.get("key"), body.get("rotate", False)
    if not isinstance(key, str) or not isinstance(rotate, bool) or {*body} - {"key", "rotate"}:
        raise invalid("/key", "key must be your API key.")
    given = await context.auth.caller_of_key(hash_key(key.strip()))
    if given is None or given.user_id != caller.user_id:
        raise invalid("/key", "This is no active key of yours.")
    store, now = context.services.store, context.services.clock.now()
    if rotate:
        user = await rotate_secret(store, now, context.rng.randbytes, caller.user)
    else:
        user = or_404(await store.keys.user(caller.user_id))
    until = timestamp(user.previous_secret_until)
    return json_response({"secret": user.secret, "previous_secret_until": until})


# --- for admins -----------------------------------------------------------------------------------


async def show_metrics(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """`GET /session/metrics`: the same as `/metrics`, which proxies keep from the outside."""
    return await metrics(context, request)


async def list_keys(context: ApiContext, request: Request, caller: Caller) -> Response:
    """`GET /session/keys`: a page of keys, newest first. Each is shown by its first characters."""
    page = await read_page(context, request, caller, "keys", *PAGE)
    found = await context.services.store.keys.list_page(page.after or "", page.limit + 1)
    keys = found[: page.limit]
    last = keys[-1].hash if len(found) > page.limit else None
    shown = (key_document(key) | {"current": key.hash == caller.key_hash} for key in keys)
    return await page.response(shown, last)


async def create_key(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """`POST /session/keys` `{"user", "name"?, "admin"?}`: create a key, and the user if that one is
    new. It is shown once, with the user's signing secret."""
    body = parse_object(await read_body(request, BODY_BYTES))
    user, admin, name = body.get("user"), body.get("admin", False), body.get("name")
    unknown = {*body} - {"user", "name", "admin"}
    is_valid = isinstance(admin, bool) and isinstance(name, str | None) and not unknown
    if not isinstance(user, str) or not is_valid:
        raise invalid("", 'Send {"user": NAME}, and "admin": true for an admin\'s key.')
    store, now = context.services.store, context.services.clock.now()
    try:
        made = await issue_key(store, now, context.rng.randbytes, user, admin=admin, name=name)
    except UserNameRefused as refusal:
        raise invalid("", f"{refusal}.") from None
    return json_response(asdict(made), 201)


async def revoke_key(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """`DELETE /session/keys/{prefix}`: revoke the active key with this prefix."""
    prefix, now = request.path_params["prefix"], context.services.clock.now()
    await context.services.store.keys.revoke(prefix, now)
    return Response(status_code=204)
