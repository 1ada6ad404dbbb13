"""The users of the service, for admins."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.documents import User
from receiver.http_api.queries import read_names, read_page
from store.records import UserSummary


async def list_users(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """Users, by name.

    Responses:
        200: A page of them.
    """
    read_names(request, ("limit", "cursor"))
    page = read_page(context, request, "users", None)
    found = await context.services.store.keys.list_users(page.after or "", page.limit + 1)
    users, last = page.cut(found, lambda user: user.name)
    return page.response(map(_document, users), last)


def _document(user: UserSummary) -> User:
    return {
        "user": user.name,
        "created_at": timestamp(user.created_at),
        "keys": user.keys,
        "unfinished": user.unfinished,
    }
