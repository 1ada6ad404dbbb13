"""The dashboard's session, as an address: who is signed in, signing in, signing out."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.actions.issue_key import hash_key
from receiver.domain.announcements import compact_json
from receiver.http_api.auth import Caller
from receiver.http_api.body import parse_object, read_body
from receiver.http_api.errors import Fault, invalid
from receiver.http_api.parts import Parts
from receiver.http_api.sessions import require_own_page

_MAX_BODY = 4096


async def show_session(parts: Parts, request: Request) -> Response:
    """`GET /session`: `{"user","admin"}`; `user` is null where nobody is signed in."""
    key_hash = parts.sessions.key_hash(request.scope)
    return _answer(None if key_hash is None else await parts.auth.known(key_hash))


async def sign_in(parts: Parts, request: Request) -> Response:
    """`POST /session` `{"key"}`: a cookie that stands for the key from now on."""
    require_own_page(request)  # else another site could sign somebody in as somebody else
    key = parse_object(await read_body(request.scope, request.receive, _MAX_BODY)).get("key")
    if not isinstance(key, str) or not key.strip():
        raise invalid([Fault("/key", "key must be your API key.")])
    caller = await parts.auth.known(hash_key(key.strip()))
    if caller is None:
        parts.auth.refuse(request.scope)
    response = _answer(caller)
    parts.sessions.open(response, caller.key_hash)
    return response


async def sign_out(parts: Parts, request: Request) -> Response:
    """`DELETE /session`: the browser forgets it."""
    require_own_page(request)
    response = _answer(None)
    parts.sessions.end(response)
    return response


def _answer(caller: Caller | None) -> Response:
    document = {"user": caller and caller.user, "admin": caller is not None and caller.admin}
    return Response(
        compact_json(document),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
