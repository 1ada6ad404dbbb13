"""What a job's cost becomes: with its end, in the same transition, and never twice."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from receiver.domain.answers import Report, SubmitAccepted
from receiver.domain.observations import CancelRequested
from receiver.domain.schedule import Rules
from receiver.domain.serialization import job_document, relay_body
from store.records.jobs import Job, Status
from store.records.times import Lane
from tests.domain.jobs import COST, ID, STATES, Story, completed, failed, in_state, new_job

RATES = {"billable_units": Decimal("0.5"), "predict_time": Decimal("0.1")}


def priced(**rates: Decimal) -> Job:
    return replace(new_job(), cost=replace(COST, rates=rates))


def cost_of(story: Story) -> tuple[str, str]:
    document = job_document(story.job, "")["cost"]
    assert document is not None
    assert document["currency"] == "USD"
    return document["state"], document["amount"]


ENDS = {
    "COMPLETED": ("settled", "0.42"),
    "FAILED by provider": ("unknown", "0.42"),
    "provider_refused": ("released", "0"),
    "not_submitted": ("released", "0"),
    "deadline_exceeded": ("unknown", "0.42"),
    "deadline_exceeded, claimed": ("unknown", "0.42"),
    "submit_outcome_unknown": ("unknown", "0.42"),
    "result_missing": ("unknown", "0.42"),
    "provider_job_lost": ("unknown", "0.42"),
    "CANCELLED unsent": ("released", "0"),
    "CANCELLED in flight": ("unknown", "0.42"),
    "CANCELLED, to pass on": ("unknown", "0.42"),
    "CANCELLED by provider": ("unknown", "0.42"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_cost_is_reserved_until_the_end_says_more(state: str) -> None:
    story = in_state(state, priced())

    assert cost_of(story) == ENDS.get(state, ("reserved", "0.42"))
    changes = [each for each in story.transitions if each.cost is not None]
    assert len(changes) == (state in ENDS)
    assert all(each.event for each in changes)
    assert in_state(state, replace(new_job(), cost=None)).job.cost is None


@pytest.mark.parametrize(
    ("state", "outcome", "cost"),
    [
        ("provider_refused", completed(provider_request_id=ID), ("settled", "0.42")),
        ("provider_refused", failed(provider_request_id=ID), ("unknown", "0.42")),
        ("not_submitted", completed(provider_request_id=ID), ("settled", "0.42")),
        ("deadline_exceeded", completed(), ("settled", "0.42")),
        ("deadline_exceeded", failed(), ("unknown", "0.42")),
        ("CANCELLED in flight", completed(provider_request_id=ID), ("unknown", "0.42")),
    ],
)
def test_a_correction_settles_anew_and_once(
    state: str, outcome: Report, cost: tuple[str, str]
) -> None:
    story = in_state(state, priced())
    story.called_back(outcome, verified=True)
    assert cost_of(story) == cost

    for _ in range(2):
        story.called_back(failed(), verified=True)
        story.observe(CancelRequested())
        story.poll(replace(completed(), measured={"predict_time": Decimal(9)}))
        assert cost_of(story) == cost


@pytest.mark.parametrize(
    ("rates", "measured", "amount"),
    [
        ({}, {"predict_time": 3}, "0.42"),
        (("predict_time",), {"predict_time": 3}, "0.3"),
        (("predict_time",), {"predict_time": 0}, "0"),
        (("predict_time",), {}, "0.42"),
        (("predict_time",), {"billable_units": 3}, "0.42"),
        (("predict_time", "billable_units"), {"predict_time": 1, "billable_units": 2}, "1.1"),
    ],
)
def test_what_was_measured_alone_counts(rates: Any, measured: Any, amount: str) -> None:
    story = in_state("accepted", priced(**{name: RATES[name] for name in rates}))

    decimals = {name: Decimal(value) for name, value in measured.items()}
    story.poll(replace(completed(), measured=decimals))

    assert cost_of(story) == ("settled", amount)


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("rates", [{}, {"billable_units": Decimal("0.5")}])
def test_a_result_without_its_measure_is_asked_for(verified: bool, rates: Any) -> None:
    """fal's webhooks lack the header: with such a price, the result's answer is needed."""
    story = in_state("accepted", priced(**rates), rules=Rules(confirm_callbacks=True))
    apart = replace(completed(), measures_apart=frozenset({"billable_units"}))
    story.called_back(apart, verified=verified)

    assert story.job.done == (verified and not rates)
    if not story.job.done:
        assert story.due().at == story.now
        assert story.due().lane in (Lane.CONFIRM, Lane.POLL)
        story.poll(replace(completed(), measured={"billable_units": Decimal(3)}))
    assert cost_of(story) == ("settled", "1.5" if rates else "0.42")


def test_a_webhook_has_no_cost() -> None:
    story = in_state("accepted", priced())
    story.poll(completed())

    assert "cost" not in relay_body("COMPLETED", job_document(story.job, ""))
    assert story.job.status is Status.COMPLETED


def test_an_acceptance_that_comes_late_changes_no_cost() -> None:
    story = in_state("CANCELLED in flight", priced())
    assert story.observe(SubmitAccepted(ID)) is not None
    assert cost_of(story) == ("unknown", "0.42")
