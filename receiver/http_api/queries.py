"""Lists: their common query parameters, and their pages."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.cursors import Cursors
from receiver.http_api.errors import Problem, bad_query
from receiver.http_api.responses import json_response

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Found = TypeVar("Found")


def read_names(request: Request, known: Collection[str], prefix: str | None = None) -> None:
    """Refuse unknown parameters: a filter with a typo would select everything.

    Raises:
        Problem: 400, for an unknown or repeated parameter.
    """
    for name, times in Counter(n for n, _ in request.query_params.multi_items()).items():
        if name not in known and not (prefix and name.startswith(prefix)):
            raise bad_query(name[:64], f"is unknown; known are {', '.join(known)}")
        if times > 1:
            raise bad_query(name[:64], "is given more than once")


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a list that a request asks for."""

    cursors: Cursors
    name: str
    """The list, and the member of the document that has its entries."""
    user_id: int | None
    """Whose entries; None: all users'."""
    limit: int
    after: str | None
    """The id that ended the previous page."""

    def cut(
        self, found: Sequence[Found], id_of: Callable[[Found], str]
    ) -> tuple[Sequence[Found], str | None]:
        """The page of `found`, and the id that ends it if there is one more."""
        kept = found[: self.limit]
        return kept, id_of(kept[-1]) if len(found) > self.limit else None

    def response(self, entries: Iterable[Mapping[str, Any]], last: str | None) -> Response:
        """The response, with a cursor to what follows the id `last`; None if it is the end."""
        cursor = last and self.cursors.make(self.name, self.user_id, last)
        return json_response({self.name: list(entries), "next_cursor": cursor})


def read_page(context: ApiContext, request: Request, name: str, user_id: int | None) -> Page:
    """The page of the list `name` by `limit` and `cursor`. Raises Problem 400."""
    after = request.query_params.get("cursor")
    if after is not None:
        after = context.cursors.read(name, user_id, after)
    return Page(context.cursors, name, user_id, read_limit(request), after)


def read_limit(request: Request) -> int:
    text = request.query_params.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise bad_query("limit", f"must be a whole number from 1 to {MAX_LIMIT}")


async def scope_of_everything(context: ApiContext, request: Request, caller: Caller) -> int | None:
    """Like `scope_of_list`, but None (all users) for `?user=*` of an admin."""
    if request.query_params.get("user") == "*" and caller.admin:
        return None
    return await scope_of_list(context, request, caller)


async def scope_of_list(context: ApiContext, request: Request, caller: Caller) -> int:
    """The user whose rows a list shows: the caller's own, or `?user=` of an admin.

    Raises:
        Problem: 403 without an admin key, 404 for an unknown user.
    """
    name = request.query_params.get("user")
    if name is None:
        return caller.user_id
    if not caller.admin:
        raise Problem(403, "admin_only", "The query parameter user needs an admin key.")
    user = await context.services.store.keys.user_named(name)
    if user is None:
        raise Problem(404, "not_found", f"There is no user {name[:64]!r}.")
    return user.id
