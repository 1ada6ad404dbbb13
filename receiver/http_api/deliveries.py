"""Webhook deliveries: list, show and retry them, and send a test message."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from receiver.domain.serialization import compact_json, timestamp
from receiver.engine.messages import whole_body
from receiver.http_api import documents, queries
from receiver.http_api.auth import Caller
from receiver.http_api.body import parse_object
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import (
    Problem,
    bad_query,
    or_404,
    raise_for_faults,
    storage_unavailable,
)
from receiver.http_api.responses import json_response
from receiver.http_api.validation import unknown_faults, url_faults
from receiver.upstream.contract import InputFault
from receiver.webhooks.delivery import AttemptResult
from receiver.webhooks.signing import plain_headers, secrets_of, sign
from store.deliveries import DeliveryFilter
from store.errors import StoreUnavailable
from store.keys import User
from store.records.deliveries import Attempt, Delivery, DeliveryState, host_of, normal_host

_RETRIED = [DeliveryState.EXHAUSTED, DeliveryState.DISABLED, DeliveryState.PENDING]
_TEXT = re.compile(r"[!-~]{1,300}")


def _document(context: ApiContext, delivery: Delivery) -> documents.Delivery:
    """A delivery as the API shows it, ready for JSON."""
    next_at, paused_until = delivery.next_attempt_at, None
    if delivery.state is DeliveryState.PENDING:
        paused_until = context.deliveries.paused_until(delivery.host)
        next_at = max(next_at or 0, paused_until or 0) or None
    return {
        "id": delivery.id,
        "request_id": delivery.job_id,
        "user": delivery.user,
        "status": delivery.status,
        "seq": delivery.seq,
        "state": delivery.state,
        "attempts": [
            {"at": timestamp(attempt.at), **_outcome(attempt)} for attempt in delivery.attempts
        ],
        "next_attempt_at": timestamp(next_at),
        "created_at": timestamp(delivery.created_at),
        "delivered_at": timestamp(delivery.delivered_at),
        "host": delivery.host,
        "type": json.loads(delivery.body).get("type", f"job.{delivery.status.lower()}"),
        "max_attempts": len(context.settings.relay_schedule),
        "failing": delivery.state is DeliveryState.PENDING and bool(delivery.attempts),
        "paused": paused_until is not None,
    }


async def list_deliveries(context: ApiContext, request: Request, caller: Caller) -> Response:
    """List webhook messages with their attempts, newest first."""
    page = await queries.read_page(
        *(context, request, caller, "deliveries"),
        *("state", "request_id", "host", "failing", *queries.PAGE, "user"),
    )
    query = request.query_params
    state = queries.read_choice(request, "state", DeliveryState)
    for name in ("request_id", "host"):
        if name in query and not _TEXT.fullmatch(query[name]):
            raise bad_query(name, "must be 1 to 300 visible ASCII characters")
    failing = queries.read_choice(request, "failing", ("true",)) is not None
    if failing and state not in (None, DeliveryState.PENDING):
        raise bad_query("failing", "selects pending deliveries, and state others")
    select = _filter(page.user_id, DeliveryState.PENDING if failing else state, query)
    select = replace(select, failing=failing)
    deliveries = context.services.store.deliveries
    found, last = await deliveries.list_page(select, page.after, page.limit)
    return await page.response(map(partial(_document, context), found), last)


async def show_delivery(context: ApiContext, request: Request, caller: Caller) -> Response:
    """One webhook message, with its body and the headers last sent, without the signature."""
    found = await _readable(context, request, caller)
    headers = plain_headers(found.id, found.attempts[-1].at) if found.attempts else {}
    document: documents.DeliveryDetail = {
        **_document(context, found),
        "url": found.url,
        "body": json.loads(await whole_body(context.services, found)),
        "headers": headers,
    }
    return json_response(document)


async def retry_delivery(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Send a webhook message again."""
    found = await _readable(context, request, caller)
    now = context.services.clock.now()
    retried = await context.services.store.outbox.retry(found.id, now)
    context.deliveries.requested([found.host])
    return json_response(_document(context, retried), 202)


async def retry_deliveries(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Resend all matching webhook messages."""
    queries.check_parameters(request, "user")
    body = await context.bodies.read(request, caller.key_hash, parse_object)
    raise_for_faults(_retry_faults(body))
    state = DeliveryState(body["state"])
    select = _filter(await queries.selected_user_or_all(context, request, caller), state, body)
    store = context.services.store
    retried, before, more = 0, None, True
    async with context.long_read_locks.of(caller.user_id):
        # Newest to oldest, so that a delivery that fails again meanwhile is not found twice.
        while more:
            if await request.is_disconnected():
                raise ClientDisconnect
            try:
                page, before = await store.deliveries.list_page(
                    select, before, queries.DEFAULT_LIMIT
                )
                ids = [delivery.id for delivery in page]
                retried += await store.outbox.retry_those(ids, state, context.services.clock.now())
                context.deliveries.requested({delivery.host for delivery in page})
            except StoreUnavailable as error:
                if not retried:
                    raise
                text = f"{retried} messages are due again, then storage failed. Repeat the request."
                raise storage_unavailable(text) from error
            more = before is not None
    return json_response(documents.Retried(retried=retried), 202)


async def test_webhook(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Send a signed message of `type: "test"` to a URL, and wait for its answer."""
    url = (await context.bodies.read(request, caller.key_hash, parse_object)).get("url")
    raise_for_faults(url_faults(context, "url", url))
    user = or_404(await context.services.store.keys.user(caller.user_id))
    # The endpoint decides how long this takes, so each user has only one at a time.
    lock = context.webhook_tests.of(caller.user_id)
    if lock.locked():
        raise Problem(
            429, "test_under_way", "Another test is still running.", headers={"Retry-After": "1"}
        )
    async with lock:
        return json_response(await _send_test(context, user, str(url)))


async def _send_test(context: ApiContext, user: User, url: str) -> documents.WebhookTest:
    now = context.services.clock.now()
    webhook_id = context.services.ids.new("msg", now)
    body = compact_json({"type": "test", "timestamp": timestamp(now)})
    headers = sign(secrets_of(user, now), webhook_id, now, body)
    made = await context.sender.deliver(url, headers, body, context.settings.relay_timeout)
    if made.status_code is not None and 200 <= made.status_code < 300:
        context.deliveries.answered(host_of(url))
    return {"webhook_id": webhook_id, **_outcome(made)}


def _outcome(attempt: Attempt | AttemptResult) -> documents.Outcome:
    return {
        "status_code": attempt.status_code,
        "error": attempt.error,
        "duration_ms": attempt.duration_ms,
        "excerpt": attempt.excerpt,
    }


def _retry_faults(body: Mapping[str, Any]) -> Iterator[InputFault]:
    # A filter with a typo would select everything.
    yield from unknown_faults(body, ("state", "host", "request_id"))
    if body.get("state") not in _RETRIED:
        yield InputFault("/state", f"state must be one of {', '.join(_RETRIED)}.")
    for name in ("host", "request_id"):
        value = body.get(name, "any")
        if not isinstance(value, str) or not _TEXT.fullmatch(value):
            yield InputFault(f"/{name}", f"{name} must be 1 to 300 visible ASCII characters.")


def _filter(
    user_id: int | None, state: DeliveryState | None, narrower: Mapping[str, str]
) -> DeliveryFilter:
    host = narrower.get("host")
    return DeliveryFilter(
        user_id, state, narrower.get("request_id"), None if host is None else _normal(host)
    )


def _normal(host: str) -> str:
    """A name or an IPv6 address, with or without brackets, and an optional port: `name:port`, or
    `name:` without one."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname or host, parts.port
    except ValueError:  # an IPv6 address without brackets
        name, port = host, None
    return f"{normal_host(name)}:{port or ''}"


async def _readable(context: ApiContext, request: Request, caller: Caller) -> Delivery:
    """The delivery in the path, if the caller may read it. Raises Problem 404."""
    deliveries = context.services.store.deliveries
    return caller.readable(await deliveries.find(request.path_params["delivery_id"]))
