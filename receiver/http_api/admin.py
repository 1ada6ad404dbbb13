"""Routes for admins."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.queries import PAGE, read_page
from store.keys import UserSummary


async def list_users(context: ApiContext, request: Request, caller: Caller) -> Response:
    """List users, by name."""
    page = await read_page(context, request, caller, "users", *PAGE)
    found = await context.services.store.keys.list_users(page.after or "", page.limit + 1)
    users = found[: page.limit]
    last = users[-1].name if len(found) > page.limit else None
    return await page.response(map(_user_document, users), last)


def _user_document(user: UserSummary) -> dict[str, Any]:
    return {
        "user": user.name,
        "created_at": timestamp(user.created_at),
        "keys": user.keys,
        "unfinished": user.unfinished,
    }
