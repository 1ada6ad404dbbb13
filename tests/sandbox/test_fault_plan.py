"""What is drawn for a job: seeded, and independent of each other."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from receiver.sandbox.faults import SandboxRules, plan_job

CHANCES = st.sampled_from([0.0, 0.3, 1.0])


@given(nonce=st.text(), chance=CHANCES)
def test_changing_a_probability_changes_no_other_decision(nonce: str, chance: float) -> None:
    rules = SandboxRules(fail_jobs=0.5, drop_callbacks=0.5)
    plain = plan_job(rules, nonce)
    changed = plan_job(replace(rules, submit_timeouts=chance, server_errors=chance), nonce)
    assert (changed.failure, changed.copies) == (plain.failure, plain.copies)
