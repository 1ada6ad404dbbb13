"""Tests the checks: each known-bad variant breaks a promise, and the simulation notices it."""

import pytest

from tests.simulation.judge import Violation
from tests.simulation.known_bad import (
    files,
    money,
    outcomes,
    places,
    process,
    relays,
    streams,
    submissions,
)
from tests.simulation.known_bad.variant import Variant
from tests.simulation.schedule import random_schedule
from tests.simulation.simulate import simulate

SUBJECTS = (submissions, places, outcomes, relays, streams, files, process, money)
VARIANTS = {
    name: each
    for subject in SUBJECTS
    for name, each in vars(subject).items()
    if isinstance(each, Variant)
}
PLANS = {
    each.plan.__name__: each.plan for each in VARIANTS.values() if each.plan is not random_schedule
}


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_caught(name: str) -> None:
    variant = VARIANTS[name]
    for seed in (*range(variant.first, variant.seeds), *range(variant.first)):
        with variant.applied():
            result = simulate(variant.plan(seed))
        if result.failure is not None:
            assert isinstance(result.failure, Violation), result
            assert str(result.failure).startswith(variant.caught_by)
            return
    pytest.fail(f"{variant.seeds} seeds have not noticed {name}")


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2))])
@pytest.mark.parametrize("name", PLANS)
def test_its_schedule_breaks_nothing_on_the_right_code(name: str, seed: int) -> None:
    result = simulate(PLANS[name](seed))
    assert result.failure is None, result.schedule
