"""Validation of a submission's body."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import chain, repeat
from typing import Any, Final, get_args

from receiver.engine.new_job import JobRequest, Priority
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import MAX_FAULTS, raise_for_faults
from receiver.upstream.contract import MAX_KIND, InputFault
from receiver.webhooks.targets import TargetRefused, check_url

MEMBERS: Final = (
    *("provider", "kind", "input", "webhookUrl", "webhookEvents", "metadata", "priority"),
)
"""The members of the body of `POST /v1/jobs`."""
WEBHOOK_EVENTS: Final = ("IN_PROGRESS", "progress", "COMPLETED", "FAILED", "CANCELLED")
DEFAULT_WEBHOOK_EVENTS: Final = tuple(event for event in WEBHOOK_EVENTS if event != "progress")
_HEADER_SAFE: Final = re.compile(r"[!-~]{1,64}")
PRIORITIES: Final = get_args(Priority)
METADATA_MEMBERS: Final = 16
METADATA_NAME: Final = 64
METADATA_VALUE: Final = 512


def read_job(context: ApiContext, body: Mapping[str, Any]) -> JobRequest:
    """Read the body of `POST /v1/jobs`. Members besides `MEMBERS` are refused.

    Raises:
        Problem: 400, with all faults; without those of the input if the provider or the kind is
            wrong.
    """
    provider = body.get("provider")
    if provider is None:
        provider = context.services.default_provider
    kind = body.get("kind")
    chosen = list(_choice_faults(context, provider, kind))
    given = chosen or _input_faults(context, provider, str(kind), body)
    beside = _faults_beside_input(context, body)
    priority: Any = "normal" if body.get("priority") is None else body["priority"]
    if priority not in PRIORITIES:
        beside = chain(beside, [InputFault("/priority", "priority must be normal or batch.")])
    faults = chain(given, beside, unknown_faults(body, MEMBERS))
    raise_for_faults(InputFault(fault.pointer, fault.text) for fault in faults)
    return replace(_job_request(provider, str(kind), body), priority=priority)


def read_submission(
    context: ApiContext, provider: str, kind: str, body: Mapping[str, Any]
) -> JobRequest:
    """Read the body of a submission to the provider's own API. Unknown members are dropped.

    Raises:
        Problem: 400, with all faults, the provider's first. Its clients may compare `message`, so
            that has no hint.
    """
    given = _input_faults(context, provider, kind, body)
    raise_for_faults(chain(given, _faults_beside_input(context, body)))
    return _job_request(provider, kind, body)


def _job_request(provider: str, kind: str, body: Mapping[str, Any]) -> JobRequest:
    events = body.get("webhookEvents")
    return JobRequest(
        provider=provider,
        kind=kind,
        input=body.get("input", {}),
        webhook_url=body.get("webhookUrl"),
        webhook_events=DEFAULT_WEBHOOK_EVENTS if events is None else tuple(dict.fromkeys(events)),
        metadata=body.get("metadata") or {},
    )


# --- faults; a list that is too long is one fault, and its members are not checked ----------------


def _choice_faults(context: ApiContext, provider: Any, kind: Any) -> Iterator[InputFault]:
    if not isinstance(provider, str) or provider not in context.services.providers:
        known = list(context.services.providers)
        choice = known[0] if len(known) == 1 else f"one of {', '.join(known)}"
        yield InputFault("/provider", f"provider must be {choice}.")
        return
    if not isinstance(kind, str) or not 1 <= len(kind) <= MAX_KIND:
        yield InputFault("/kind", f"kind must be a string of 1 to {MAX_KIND} characters.")
    elif (wrong := context.services.providers[provider].check_kind(kind)) is not None:
        yield InputFault("/kind", wrong)


def _input_faults(
    context: ApiContext, provider: str, kind: str, body: Mapping[str, Any]
) -> Iterator[InputFault]:
    given = body.get("input", {})
    if not isinstance(given, dict):
        yield InputFault("/input", "input must be an object.")
        return
    faults = context.services.providers[provider].check(kind, given)
    yield from faults
    if not faults and "input" not in body:
        yield InputFault("/input", "input must be an object.")


def _faults_beside_input(context: ApiContext, body: Mapping[str, Any]) -> Iterator[InputFault]:
    if body.get("webhookUrl") is not None:
        yield from url_faults(context, "webhookUrl", body["webhookUrl"])
    if body.get("webhookEvents") is not None:
        yield from _event_faults(body["webhookEvents"])
    if body.get("metadata") is not None:
        yield from _metadata_faults(body["metadata"])


def pointer(*names: str) -> str:
    """The JSON pointer of a member (RFC 6901). Names longer than any valid one are truncated."""
    return "".join(
        "/" + name[:METADATA_NAME].replace("~", "~0").replace("/", "~1") for name in names
    )


def unknown_faults(body: Mapping[str, Any], known: Sequence[str]) -> Iterator[InputFault]:
    """A fault for each member of the body that is not known."""
    unknown = [name for name in body if name not in known]
    for name in unknown[:MAX_FAULTS]:
        hint = _did_you_mean(name, known) or f"the known ones are {', '.join(known)}."
        yield InputFault(pointer(name), f"This member is unknown; {hint}")
    # Further ones are not listed, only counted.
    yield from repeat(InputFault("", "This member is unknown."), len(unknown) - MAX_FAULTS)


def _did_you_mean(name: str, known: Sequence[str]) -> str | None:
    meant = get_close_matches(name[:METADATA_NAME], known, n=1)
    return f"did you mean {meant[0]}?" if meant else None


def misspelt_members(body: Mapping[str, Any]) -> str:
    """A warning about the members beside `input` that resemble known ones; empty without any."""
    unknown = [name for name in body if name not in MEMBERS and _HEADER_SAFE.fullmatch(name)]
    hints = {name: _did_you_mean(name, MEMBERS) for name in unknown[:MAX_FAULTS]}
    return " ".join(f"unknown member {name}; {hint}" for name, hint in hints.items() if hint)


def url_faults(context: ApiContext, name: str, url: Any) -> Iterator[InputFault]:
    """The faults of the member `name`, a webhook URL."""
    if not isinstance(url, str):
        yield InputFault(f"/{name}", f"{name} must be a string.")
        return
    allowed = context.settings.relay_allow_http
    # An http URL may also have a refused host: report both together.
    for allow_http in dict.fromkeys((allowed, allowed or url[:5].lower() == "http:")):
        try:
            check_url(url, allow_http=allow_http, allow_nets=context.settings.relay_allow_nets)
        except TargetRefused as refused:
            yield InputFault(f"/{name}", f"{name} is not allowed: {refused}.")


def _event_faults(events: Any) -> Iterator[InputFault]:
    most, known = len(WEBHOOK_EVENTS), ", ".join(WEBHOOK_EVENTS)
    if not isinstance(events, list):
        yield InputFault("/webhookEvents", "webhookEvents must be an array.")
    elif len(events) > most:
        yield InputFault("/webhookEvents", f"webhookEvents may have at most {most} entries.")
    else:
        for index, event in enumerate(events):
            if event not in WEBHOOK_EVENTS:
                yield InputFault(f"/webhookEvents/{index}", f"An event must be one of {known}.")


def _metadata_faults(metadata: Any) -> Iterator[InputFault]:
    if not isinstance(metadata, dict):
        yield InputFault("/metadata", "metadata must be an object of strings.")
    elif len(metadata) > METADATA_MEMBERS:
        yield InputFault("/metadata", f"metadata may have at most {METADATA_MEMBERS} members.")
    else:
        for name, value in metadata.items():
            at = pointer("metadata", name)
            if not 1 <= len(name) <= METADATA_NAME or "\0" in name:
                text = f"A metadata name has 1 to {METADATA_NAME} characters"
                yield InputFault(at, f"{text}, without NUL.")
            if not isinstance(value, str) or len(value) > METADATA_VALUE or "\0" in value:
                text = f"A metadata value is a string of at most {METADATA_VALUE} characters"
                yield InputFault(at, f"{text}, without NUL.")
