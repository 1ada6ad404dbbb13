"""Lists: their common query parameters, and their pages."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem, bad_query
from receiver.http_api.responses import list_response
from receiver.signed_text import Purpose, Signer
from store.records.times import Millis

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200

METADATA: Final = "metadata."
"""Prefix of the query parameters that filter by a metadata member."""

PAGE: Final = ("limit", "cursor")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

Choice = TypeVar("Choice", bound=str)


def check_parameters(request: Request, *known: str) -> None:
    """Refuse unknown parameters: a filter with a typo would select everything.

    Raises:
        Problem: 400, for an unknown or repeated parameter.
    """
    for name, times in Counter(n for n, _ in request.query_params.multi_items()).items():
        allowed = f"{METADATA}KEY" if name.startswith(METADATA) else name
        if allowed not in known:
            known_are = (
                f"the known ones are {', '.join(known)}"
                if known
                else "this route has no query parameters"
            )
            raise bad_query(name[:64], f"is unknown; {known_are}")
        if times > 1:
            raise bad_query(name[:64], "is given more than once")


@dataclass(frozen=True, slots=True)
class Page:
    """The page that a request asks for."""

    signer: Signer
    name: str
    """Name of the list, and of the response's member with its entries."""
    user_id: int | None
    """Whose entries; None: all users'. In the lists of users and keys, which have no owner, the
    caller."""
    limit: int
    after: str | None
    """The id that ended the previous page."""

    async def response(self, entries: Iterable[Mapping[str, Any]], last: str | None) -> Response:
        """The response, with a cursor for the entries after the id `last`; None on the last
        page."""
        cursor = last and write_cursor(self.signer, self.name, self.user_id, last)
        return await list_response(self.name, entries, next_cursor=cursor)


async def read_page(
    context: ApiContext, request: Request, caller: Caller, name: str, *known: str
) -> Page:
    """The page of the list `name` that a request asks for; `known` are the allowed parameters.

    Raises:
        Problem: 400 for a parameter, and as `selected_user`.
    """
    check_parameters(request, *known)
    user_id = await selected_user_or_all(context, request, caller)
    text = request.query_params.get("cursor")
    after = None if text is None else read_cursor(context.signer, name, user_id, text)
    return Page(context.signer, name, user_id, read_limit(request), after)


def write_cursor(signer: Signer, name: str, user_id: int | None, last: str) -> str:
    """A cursor for the entries of a list after the id `last`."""
    return signer.dump(Purpose.CURSOR, [name, user_id, last])


def read_cursor(signer: Signer, name: str, user_id: int | None, text: str) -> str:
    """The id that ended the previous page. Raises Problem 400 for a cursor of another list."""
    match signer.load(Purpose.CURSOR, text):
        case [list_name, owner, str(last)] if (list_name, owner) == (name, user_id):
            return last
        case _:
            raise bad_query("cursor", "is not a next_cursor of this list")


def read_limit(request: Request) -> int:
    text = request.query_params.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise bad_query("limit", f"must be a whole number from 1 to {MAX_LIMIT}")


def read_choice(request: Request, name: str, choices: Iterable[Choice]) -> Choice | None:
    """The query parameter `name`, one of `choices`; None without it. Raises Problem 400."""
    if (text := request.query_params.get(name)) is None:
        return None
    known = {str(choice): choice for choice in choices}
    if text not in known:
        raise bad_query(name, f"must be one of {', '.join(known)}")
    return known[text]


def read_metadata(request: Request) -> dict[str, str]:
    """The members that jobs must have. Raises Problem 400."""
    found = {
        name.removeprefix(METADATA): value
        for name, value in request.query_params.items()
        if name.startswith(METADATA)
    }
    # No metadata has a NUL, and the database may replace it by a character that some metadata has.
    if any("\0" in text for member in found.items() for text in member):
        raise bad_query(f"{METADATA}KEY", "must be without NUL, as metadata is")
    return found


def read_time(request: Request, name: str, to_whole: Callable[[float], Millis]) -> Millis | None:
    """A time or the beginning of a day (ISO 8601). Without an offset it is UTC. Raises
    Problem 400."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        if text[4:5] != "-":  # Python also reads many numbers as times
            raise ValueError
        # An offset may begin with "+", which means a space in a query.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise bad_query(name, "must be a time such as 2026-01-02T03:04:05.678Z") from None
    return to_whole((moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) / _MILLISECOND)


async def selected_user_or_all(context: ApiContext, request: Request, caller: Caller) -> int | None:
    """Like `selected_user`, but None (all users) for `?user=*` of an admin."""
    if request.query_params.get("user") == "*" and caller.admin:
        return None
    return await selected_user(context, request, caller)


async def selected_user(context: ApiContext, request: Request, caller: Caller) -> int:
    """The user whose rows are shown: the caller, or an admin's `?user=`.

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
