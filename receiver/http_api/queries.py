"""Query parameters that lists share."""

from collections import Counter
from collections.abc import Collection

from starlette.requests import Request

from receiver.http_api.auth import Caller
from receiver.http_api.errors import Problem, bad_query, not_found
from receiver.http_api.parts import Parts

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


def read_names(request: Request, known: Collection[str], prefix: str | None = None) -> None:
    """Refuse a name that the list does not know: a filter with a typo would select everything.

    Raises:
        Problem: 400, naming it; also where one is given twice.
    """
    for name, times in Counter(n for n, _ in request.query_params.multi_items()).items():
        if name not in known and not (prefix and name.startswith(prefix)):
            raise bad_query(name[:64], f"is not known here; known are {', '.join(known)}")
        if times > 1:
            raise bad_query(name[:64], "is given more than once")


def read_limit(request: Request) -> int:
    """`limit`, 1 to 200. Raises Problem 400."""
    text = request.query_params.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise bad_query("limit", f"must be a whole number from 1 to {MAX_LIMIT}")


async def scope_of_list(parts: Parts, request: Request, caller: Caller) -> int:
    """The user whose rows a list shows: the caller's own, or `?user=` of an admin.

    Raises:
        Problem: 403 for a key that is no admin's, 404 for a user that is not there.
    """
    name = request.query_params.get("user")
    if name is None:
        return caller.user_id
    if not caller.admin:
        raise Problem(403, "admin_only", "Only an admin key may name a user.")
    user = await parts.core.store.keys.user_named(name)
    if user is None:
        raise not_found()
    return user.id
