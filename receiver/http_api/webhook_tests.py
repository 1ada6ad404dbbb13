"""Sends a test message to a webhook URL while the user waits."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import compact_json, timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.body import read_object
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem, invalid, not_found
from receiver.http_api.responses import json_response
from receiver.http_api.submissions import url_faults
from receiver.http_api.webhook_documents import WebhookTest
from receiver.webhooks.signing import secrets_of, sign


async def test_webhook(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Send a signed message of `type: "test"` to a URL, and wait for its answer.

    Responses:
        200: The result of the attempt; `error` if there was no answer.
        400: The URL is not allowed.
        429: Another test of this user is running.
    """
    url = (await read_object(request, context.settings.max_body_bytes)).get("url")
    if faults := list(url_faults(context, "url", url)):
        raise invalid(faults)
    user = await context.services.store.keys.user(caller.user_id)
    if user is None:
        raise not_found()
    # The endpoint decides how long this takes, so each user has only one at a time.
    if caller.user_id in context.webhook_tests:
        raise Problem(
            429, "test_under_way", "Another test is still running.", headers={"Retry-After": "1"}
        )
    now = context.services.clock.now()
    webhook_id = context.services.ids.new("msg", now)
    body = compact_json({"type": "test", "timestamp": timestamp(now)})
    context.webhook_tests.add(caller.user_id)
    try:
        made = await context.sender.deliver(
            str(url),
            sign(secrets_of(user, now), webhook_id, now, body),
            body,
            context.settings.relay_timeout,
        )
    finally:
        context.webhook_tests.discard(caller.user_id)
    document: WebhookTest = {
        "webhook_id": webhook_id,
        "status_code": made.status_code,
        "error": made.error,
        "duration_ms": made.duration_ms,
        "excerpt": made.excerpt,
    }
    return json_response(document)
