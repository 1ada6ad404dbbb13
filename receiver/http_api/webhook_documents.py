"""Webhooks and their deliveries as types."""

from collections.abc import Mapping
from typing import Annotated, Final, NotRequired

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from receiver.domain.documents import (
    A_JOB,
    Count,
    JobError,
    JobId,
    JobStatus,
    Kind,
    Metadata,
    Time,
    UserName,
)
from receiver.domain.serialization import WEBHOOK_EVENTS, relay_body
from receiver.http_api.documents import Page, Status
from receiver.json_schema import document, enum_of
from receiver.webhooks.delivery import EXCERPT
from store.records import deliveries

A_MESSAGE: Final = "msg_01KE4XJ3A9F7N2C5D8G1H4K6MP"
MessageId = Annotated[str, Field(examples=[A_MESSAGE])]
_RESULT: Final = {"videoUrl": "https://cdn.example.com/67b1c0ffee.mp4"}
_RELAY: Final = relay_body(
    "COMPLETED", A_JOB | {"status": "COMPLETED", "progress": 100, "result": _RESULT, "seq": 6}
)
MessageType = TypeAliasType(
    "MessageType", Annotated[str, enum_of(f"job.{event.lower()}" for event in WEBHOOK_EVENTS)]
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

    status_code: Annotated[int, Field(examples=[200])] | None
    error: str | None
    duration_ms: Annotated[Count, Field(examples=[83])]
    excerpt: Annotated[str, Field(max_length=EXCERPT, examples=["ok"])] | None
    """The first characters of the response's body."""


class WebhookTest(Outcome):
    """The result of a test message."""

    webhook_id: MessageId


class Attempt(Outcome):
    """One attempt of a delivery."""

    at: Time


DeliveryState = TypeAliasType("DeliveryState", Annotated[str, enum_of(deliveries.DeliveryState)])


class Delivery(TypedDict):
    """One webhook message and its state."""

    id: MessageId
    """The `webhook-id` of every attempt."""
    request_id: JobId
    user: UserName
    status: Annotated[JobStatus, Field(examples=["COMPLETED"])]
    seq: Annotated[int, Field(ge=1, examples=[6])]
    state: Annotated[DeliveryState, Field(examples=["delivered"])]
    attempts: list[Attempt]
    """The last 50, oldest first."""
    next_attempt_at: Annotated[Time | None, Field(examples=[None])]
    created_at: Time
    delivered_at: Time | None


class Deliveries(Page):
    """A page of deliveries."""

    deliveries: list[Delivery]


class DeliveryDetail(Delivery):
    """A delivery with its message."""

    url: Annotated[str, Field(examples=["https://example.com/hooks/video"])]
    body: Relay
    headers: Annotated[Mapping[str, str], Field(examples=[{"webhook-id": A_MESSAGE}])]
    """Those of the last attempt, without its signature."""


class Retried(TypedDict):
    """How many webhook messages will be sent again."""

    retried: Count
