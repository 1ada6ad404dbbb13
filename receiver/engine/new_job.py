"""Makes a new job of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from receiver.domain.documents import LABEL_CHARACTERS
from receiver.domain.serialization import event_data
from receiver.engine.context import ServiceContext
from store.records.jobs import Job, Phase, Status
from store.records.times import Due, Lane
from store.records.transitions import NewJob

Priority: TypeAlias = Literal["normal", "batch"]


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A validated request."""

    provider: str
    kind: str
    input: Mapping[str, Any]
    webhook_url: str | None
    webhook_events: tuple[str, ...]
    metadata: Mapping[str, str]
    priority: Priority = "normal"
    source: str | None = None
    """`Job.source`."""
    details: Mapping[str, Any] | None = None
    """`Job.details`."""


def new_job(
    services: ServiceContext, user_id: int, user: str, request: JobRequest, input_json: str
) -> NewJob:
    """A new job: queued, and due at once. `input_json` is its input as ASCII JSON.

    Raises NumberTooLong: the input cannot be priced.
    """
    now, prices = services.clock.now(), services.prices
    priced = (request.provider, request.kind, request.input)
    job = Job(
        id=services.ids.new("job", now),
        user_id=user_id,
        user=user,
        provider=request.provider,
        kind=request.kind,
        status=Status.PENDING,
        phase=Phase.QUEUED,
        seq=1,
        created_at=now,
        updated_at=now,
        metadata=request.metadata or None,
        webhook_url=request.webhook_url,
        webhook_events=request.webhook_events,
        label=_label_of(request.input),
        source=request.source,
        details=request.details,
        cost=prices.reserve(*priced) if prices else None,
        due=Due(Lane.SUBMIT, now),
    )
    event = event_data(job, services.rules.root)
    return NewJob(job, input_json, event, batch=request.priority == "batch")


def _label_of(body_input: Mapping[str, Any]) -> str | None:
    """A short label for people: the beginning of the prompt, or of the first text in
    `prompt_list`, on one line."""
    prompt, prompts = body_input.get("prompt"), body_input.get("prompt_list")
    if not isinstance(prompt, str):
        texts = prompts.splitlines() if isinstance(prompts, str) else prompts
        listed = texts if isinstance(texts, list) else []
        prompt = next((text for text in listed if isinstance(text, str) and text.strip()), "")
    # A label never needs more words than characters. The rest of the prompt may be long.
    line = " ".join(prompt.split(maxsplit=LABEL_CHARACTERS))[:LABEL_CHARACTERS]
    return line.replace("\0", "\ufffd") or None
