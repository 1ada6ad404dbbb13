"""A job as JSON: its document, events and webhooks."""

import json
from typing import Any

import pytest

from receiver.domain import serialization
from store.records.jobs import ErrorCode, JobError, Status
from store.records.transitions import Transition
from tests.domain.jobs import (
    EVERY_EVENT,
    HOOK,
    START,
    at_work,
    completed,
    failed,
    in_state,
    new_job,
    report,
)


def body_of(transition: Transition | None) -> dict[str, Any] | None:
    if transition is None or transition.relay is None:
        return None
    document: dict[str, Any] = json.loads(transition.relay.body)
    return document


# --- the document ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ErrorCode)
def test_retryable_codes_are_those_that_cannot_be_paid_twice(code: ErrorCode) -> None:
    document = serialization.error_document(JobError(code, "Why.", True))
    assert document is not None
    assert document["retryable"] == (code in ("not_submitted", "provider_credentials"))
    assert list(document) == ["code", "message", "retryable", "may_have_been_billed"]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (START, "2026-01-02T03:04:05.678Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
        (None, None),
    ],
)
def test_timestamps_are_utc_with_milliseconds(at: int | None, text: str | None) -> None:
    assert serialization.timestamp(at) == text


@pytest.mark.parametrize(
    ("progress", "written"), [(None, "null"), (45.0, "45"), (0.0, "0"), (45.5, "45.5"), (99, "99")]
)
def test_whole_numbers_have_no_fraction(progress: float | None, written: str) -> None:
    assert json.dumps(serialization.number(progress)) == written


# --- webhook messages -----------------------------------------------------------------------------


def test_in_progress_is_sent_once_and_progress_at_each_later_change() -> None:
    story = in_state("accepted", new_job(events=EVERY_EVENT))
    sent = [
        body_of(story.called_back(reported))
        for reported in (
            report(Status.PENDING, progress=5),
            at_work(10),
            at_work(10),
            at_work(30),
            at_work(20),
            report(Status.IN_PROGRESS, message="Nearly."),
        )
    ]
    assert [body and (body["status"], body["progress"], body.get("message")) for body in sent] == [
        None,  # a job that is still PENDING sends nothing
        ("IN_PROGRESS", 10, None),
        None,
        ("IN_PROGRESS", 30, None),
        None,
        ("IN_PROGRESS", 30, "Nearly."),
    ]


@pytest.mark.parametrize(
    ("url", "events", "sent"),
    [
        (HOOK, ("IN_PROGRESS", "COMPLETED"), [True, False, True]),
        (HOOK, ("progress",), [False, True, False]),
        (HOOK, ("FAILED",), [False, False, False]),
        (HOOK, (), [False, False, False]),
        (None, EVERY_EVENT, [False, False, False]),
    ],
)
def test_a_webhook_gets_what_it_is_subscribed_to(
    url: str | None, events: tuple[str, ...], sent: list[bool]
) -> None:
    story = in_state("accepted", new_job(webhook_url=url, events=events))
    transitions = [story.called_back(at_work(10)), story.called_back(at_work(30))]
    transitions.append(story.poll(completed()))
    assert [body_of(transition) is not None for transition in transitions] == sent


def test_the_body_has_the_members_of_the_providers_api_and_ours() -> None:
    transition = in_state("rendering").poll(failed("Out of credits."))
    body = body_of(transition)
    assert transition is not None
    assert body == {
        "request_id": transition.job.id,
        "status": "FAILED",
        "progress": 30,
        "message": "Out of credits.",
        "type": "job.failed",
        "timestamp": serialization.timestamp(transition.job.updated_at),
        "seq": transition.job.seq,
        "kind": "create_movie",
        "metadata": {"order": "7"},
        "error": serialization.error_document(transition.job.error),
    }
    assert transition.relay is not None
    assert (transition.relay.final, transition.relay.provisional) == (True, False)
