"""Random decisions: seeded, and independent of each other."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from receiver.sandbox.faults import FaultPlan, SandboxRules

CHANCES = st.sampled_from([0.0, 0.3, 1.0])


@given(seed=st.integers(), ordinal=st.integers(0, 10_000), chance=CHANCES)
def test_changing_a_probability_changes_no_other_decision(
    seed: int, ordinal: int, chance: float
) -> None:
    rules = SandboxRules(seed=seed, fail_jobs=0.5, drop_callbacks=0.5)
    plain = FaultPlan(rules).of_job(ordinal)
    changed = FaultPlan(
        replace(rules, submit_timeouts=chance, server_errors_after=chance, late_callbacks=chance)
    ).of_job(ordinal)
    assert (changed.request_id, changed.failure) == (plain.request_id, plain.failure)
    assert [(callback.progress, callback.copies) for callback in changed.callbacks] == [
        (callback.progress, callback.copies) for callback in plain.callbacks
    ]


@given(seed=st.integers(), late=CHANCES, reordered=CHANCES)
def test_callbacks_are_planned_in_the_order_of_their_times(
    seed: int, late: float, reordered: float
) -> None:
    rules = SandboxRules(seed=seed, late_callbacks=late, reorder_callbacks=reordered)
    times = [callback.after for callback in FaultPlan(rules).of_job(0).callbacks]
    assert times == sorted(times)
    assert len(times) == 4


def test_without_a_seed_two_sandboxes_share_no_id() -> None:
    rules = SandboxRules()
    assert FaultPlan(rules).of_job(0).request_id != FaultPlan(rules).of_job(0).request_id


def test_a_burst_is_three_calls_long() -> None:
    plan = FaultPlan(SandboxRules(seed=5, busy_bursts=0.02))
    busy = "".join("x" if plan.busy_status("submissions", call) else "." for call in range(1000))
    bursts = [burst for burst in busy.split(".") if burst]
    assert bursts
    assert min(len(burst) for burst in bursts) == 3
