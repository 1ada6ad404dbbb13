"""The body of a submission: what is checked, and in whose words."""

from collections.abc import Iterator, Mapping
from typing import Any

from receiver.actions.submit_job import Submission
from receiver.domain.announcements import DEFAULT_WEBHOOK_EVENTS, WEBHOOK_EVENTS
from receiver.http_api.errors import Fault, invalid
from receiver.http_api.parts import Parts
from receiver.webhooks.targets import TargetRefused, check_url

KINDS = ("create_movie", "create_narrative")
MAX_METADATA = 16
MAX_METADATA_NAME = 64
MAX_METADATA_VALUE = 512


def read_job(parts: Parts, body: Mapping[str, Any]) -> Submission:
    """The submission in the body of `POST /v1/jobs`.

    Raises:
        Problem: 400, with every fault that was found.
    """
    faults = []
    provider = body.get("provider")
    if provider is None:
        provider = parts.settings.provider
    if not isinstance(provider, str) or provider not in parts.core.providers:
        known = ", ".join(parts.core.providers)
        faults.append(Fault("/provider", f"provider must be one that runs here: {known}."))
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        faults.append(Fault("/kind", f"kind must be one of {', '.join(KINDS)}."))
    if faults:
        raise invalid(faults + list(_faults_beside_input(parts, body)))
    return read_submission(parts, str(provider), str(kind), body)


def read_submission(parts: Parts, provider: str, kind: str, body: Mapping[str, Any]) -> Submission:
    """The submission of one kind to one provider; unknown members beside `input` are dropped.

    Raises:
        Problem: 400, with every fault that was found, those of the provider first.
    """
    given = body.get("input", {})
    if isinstance(given, dict):
        faults = [
            Fault(fault.pointer, fault.detail)
            for fault in parts.core.providers[provider].check(kind, given)
        ]
    else:
        faults = [Fault("/input", "input must be an object.")]
    faults.extend(_faults_beside_input(parts, body))
    if faults:
        raise invalid(faults)
    events = body.get("webhookEvents")
    return Submission(
        provider=provider,
        kind=kind,
        input=given,
        webhook_url=body.get("webhookUrl"),
        webhook_events=DEFAULT_WEBHOOK_EVENTS if events is None else tuple(dict.fromkeys(events)),
        metadata=body.get("metadata") or {},
    )


def _faults_beside_input(parts: Parts, body: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _url_faults(parts, body.get("webhookUrl"))
    yield from _event_faults(body.get("webhookEvents"))
    yield from _metadata_faults(body.get("metadata"))


def _url_faults(parts: Parts, url: Any) -> Iterator[Fault]:
    if url is None:
        return
    if not isinstance(url, str):
        yield Fault("/webhookUrl", "webhookUrl must be a string.")
        return
    try:
        check_url(
            url,
            allow_http=parts.settings.relay_allow_http,
            allow_nets=parts.settings.relay_allow_nets,
        )
    except TargetRefused as refused:
        yield Fault("/webhookUrl", f"webhookUrl cannot be called: {refused}.")


def _event_faults(events: Any) -> Iterator[Fault]:
    if events is None:
        return
    if not isinstance(events, list):
        yield Fault("/webhookEvents", "webhookEvents must be an array.")
        return
    for index, event in enumerate(events):
        if not isinstance(event, str) or event not in WEBHOOK_EVENTS:
            known = ", ".join(WEBHOOK_EVENTS)
            yield Fault(f"/webhookEvents/{index}", f"An event must be one of {known}.")


def _metadata_faults(metadata: Any) -> Iterator[Fault]:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield Fault("/metadata", "metadata must be an object of strings.")
        return
    if len(metadata) > MAX_METADATA:
        yield Fault("/metadata", f"metadata may have at most {MAX_METADATA} members.")
    for name, value in metadata.items():
        pointer = "/metadata/" + name[:MAX_METADATA_NAME].replace("~", "~0").replace("/", "~1")
        if not 1 <= len(name) <= MAX_METADATA_NAME or "\0" in name:
            yield Fault(pointer, f"A metadata name has 1 to {MAX_METADATA_NAME} characters.")
        if not isinstance(value, str) or len(value) > MAX_METADATA_VALUE or "\0" in value:
            yield Fault(
                pointer,
                f"A metadata value is a string of at most {MAX_METADATA_VALUE} characters,"
                " without NUL.",
            )
