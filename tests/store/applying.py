"""Callbacks and changes of jobs in a store, without the state machine."""

from dataclasses import replace
from typing import Any

from store.records.callbacks import CallbackVerdict, Verdict
from store.records.jobs import Job
from store.records.transitions import DecideCallback, Transition
from tests.store.world import NOW, event_data


def applying(verdict: Verdict = Verdict.APPLIED, **fields: Any) -> DecideCallback:
    """Give the callback this verdict; with `fields`, it changes its job visibly."""

    def decide(callback_id: int, job: Job) -> Transition:
        verdicts = (CallbackVerdict(callback_id, verdict),)
        if not fields:
            return Transition(job, verdicts=verdicts)
        after = replace(job, **{"seq": job.seq + 1, "updated_at": NOW + 1, **fields})
        return Transition(after, event_data(after), verdicts=verdicts)

    return decide
