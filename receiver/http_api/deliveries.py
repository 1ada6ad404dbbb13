"""Relay messages and their attempts (contract 10)."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.announcements import compact_json, timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.errors import Problem, bad_query, not_found
from receiver.http_api.parts import Parts
from receiver.http_api.queries import read_limit, read_names, scope_of_list
from store.errors import DeliveryPending
from store.records import Delivery, DeliveryState


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    """A delivery as contract 10 shows it, ready for JSON."""
    return {
        "id": delivery.id,
        "request_id": delivery.job_id,
        "status": delivery.status,
        "seq": delivery.seq,
        "state": delivery.state,
        "attempts": [
            {
                "at": timestamp(attempt.at),
                "status_code": attempt.status_code,
                "error": attempt.error,
                "duration_ms": attempt.duration_ms,
            }
            for attempt in delivery.attempts
        ],
        "next_attempt_at": timestamp(delivery.next_attempt_at),
        "created_at": timestamp(delivery.created_at),
        "delivered_at": timestamp(delivery.delivered_at),
    }


async def list_deliveries(parts: Parts, request: Request, caller: Caller) -> Response:
    """`GET /v1/deliveries`: newest first, a page at a time."""
    read_names(request, ("state", "limit", "cursor", "user"))
    limit = read_limit(request)
    state = request.query_params.get("state")
    if state is not None and state not in list(DeliveryState):
        raise bad_query("state", f"must be one of {', '.join(DeliveryState)}")
    user_id = await scope_of_list(parts, request, caller)
    before = request.query_params.get("cursor")
    if before is not None:
        before = parts.cursors.read("deliveries", user_id, before)
    found = await parts.core.store.deliveries.list_for_user(
        user_id, None if state is None else DeliveryState(state), before, limit + 1
    )
    more = len(found) > limit
    document = {
        "deliveries": [delivery_document(delivery) for delivery in found[:limit]],
        "next_cursor": (
            parts.cursors.make("deliveries", user_id, found[limit - 1].id) if more else None
        ),
    }
    return Response(compact_json(document), media_type="application/json")


async def retry(parts: Parts, request: Request, caller: Caller) -> Response:
    """`POST /v1/deliveries/{delivery_id}/retry`: one attempt at once, then the schedule again."""
    delivery_id = request.path_params["delivery_id"]
    deliveries = parts.core.store.deliveries
    found = await (
        deliveries.find(delivery_id)
        if caller.admin
        else deliveries.find_for_user(caller.user_id, delivery_id)
    )
    if found is None:
        raise not_found()
    try:
        found = await deliveries.retry(delivery_id, parts.core.clock.now())
    except DeliveryPending:
        raise Problem(
            409, "delivery_pending", "The delivery is pending: it will be sent anyway."
        ) from None
    return Response(
        compact_json(delivery_document(found)), status_code=202, media_type="application/json"
    )
