"""Webhooks and their deliveries as types."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from receiver.domain.documents import (
    A_TIME,
    AN_ID,
    Count,
    JobError,
    JobId,
    JobStatus,
    Kind,
    Metadata,
    Time,
    UserName,
)
from receiver.domain.serialization import WEBHOOK_EVENTS
from receiver.http_api.documents import NextCursor, Status
from receiver.json_schema import document, one_of
from receiver.webhooks.delivery import EXCERPT
from store.records import deliveries

A_MESSAGE: Final = "msg_01KE4XJ3A9F7N2C5D8G1H4K6MP"
MessageId = Annotated[
    str, Field(description="The `webhook-id` of every attempt.", examples=[A_MESSAGE])
]
_OUTCOME: Final[dict[str, Any]] = {
    "status_code": 200,
    "error": None,
    "duration_ms": 83,
    "excerpt": "ok",
}
_RELAY: Final[dict[str, Any]] = {
    "type": "job.completed",
    "timestamp": A_TIME,
    "request_id": AN_ID,
    "status": "COMPLETED",
    "progress": 100,
    "result": {"videoUrl": "https://cdn.example.com/67b1c0ffee.mp4"},
    "seq": 6,
    "kind": "create_movie",
    "metadata": {"order": "4711"},
    "error": None,
}
_DELIVERY: Final[dict[str, Any]] = {
    "id": A_MESSAGE,
    "request_id": AN_ID,
    "user": "ada",
    "status": "COMPLETED",
    "seq": 6,
    "state": "delivered",
    "attempts": [{"at": A_TIME, **_OUTCOME}],
    "next_attempt_at": None,
    "created_at": A_TIME,
    "delivered_at": A_TIME,
}
_DETAIL: Final[dict[str, Any]] = {
    "url": "https://example.com/hooks/video",
    "body": _RELAY,
    "headers": {"webhook-id": A_MESSAGE, "webhook-timestamp": "1767323045"},
}

MessageType = TypeAliasType(
    "MessageType", Annotated[str, one_of(f"job.{event.lower()}" for event in WEBHOOK_EVENTS)]
)


@document(example=_RELAY)
class Relay(Status):
    """The message that is sent to `webhookUrl`."""

    type: NotRequired[MessageType]
    timestamp: NotRequired[Time]
    """The time of the event."""
    seq: Annotated[int, Field(ge=1)]
    kind: Kind
    metadata: Metadata
    error: JobError | None


class Outcome(TypedDict):
    """The result of an attempt to send a webhook."""

    status_code: int | None
    error: str | None
    duration_ms: Count
    excerpt: Annotated[str, Field(max_length=EXCERPT)] | None
    """The first characters of the response's body."""


@document(example={"webhook_id": A_MESSAGE, **_OUTCOME})
class WebhookTest(Outcome):
    """The result of a test message."""

    webhook_id: str


class Attempt(Outcome):
    """One attempt of a delivery."""

    at: Time


DeliveryState = TypeAliasType(
    "DeliveryState", Annotated[deliveries.DeliveryState, one_of(deliveries.DeliveryState)]
)


@document(example=_DELIVERY)
class Delivery(TypedDict):
    """One webhook message and its state."""

    id: MessageId
    request_id: JobId
    user: UserName
    status: JobStatus
    seq: Annotated[int, Field(ge=1)]
    state: DeliveryState
    attempts: list[Attempt]
    """The last 50, oldest first."""
    next_attempt_at: Time | None
    created_at: Time
    delivered_at: Time | None


class Deliveries(TypedDict):
    """A page of deliveries."""

    deliveries: list[Delivery]
    next_cursor: NextCursor


@document(example=_DELIVERY | _DETAIL)
class DeliveryDetail(Delivery):
    """A delivery with its message."""

    url: str
    body: Relay
    headers: Mapping[str, str]
    """Those of the last attempt, without its signature."""


class Retried(TypedDict):
    """How many webhook messages will be sent again."""

    retried: Count
