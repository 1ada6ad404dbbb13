"""The checks are checked: each wrong way to build the service breaks a promise, and is seen to."""

import importlib
from pathlib import Path

import pytest

from tests.simulation.judge import Violation
from tests.simulation.known_bad.variant import Variant
from tests.simulation.schedule import schedule
from tests.simulation.simulate import simulate

FOLDER = Path(__file__).with_name("known_bad")
HELPERS = ("variant", "plans")
NAMES = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in HELPERS)


def variant_of(name: str) -> Variant:
    variant: Variant = importlib.import_module(f"tests.simulation.known_bad.{name}").VARIANT
    return variant


PLANS = {plan.__name__: plan for name in NAMES if (plan := variant_of(name).plan) is not schedule}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_caught(name: str) -> None:
    variant = variant_of(name)
    for seed in (*range(variant.first, variant.seeds), *range(variant.first)):
        with variant.applied():
            result = simulate(variant.plan(seed))
        if result.failure is not None:
            assert isinstance(result.failure, Violation), result
            assert str(result.failure).startswith(variant.caught_by)
            return
    pytest.fail(f"{variant.seeds} seeds have not noticed {name}")


@pytest.mark.parametrize("name", PLANS)
def test_its_schedule_breaks_nothing_on_the_right_code(name: str) -> None:
    for seed in range(2):
        result = simulate(PLANS[name](seed))
        assert result.failure is None, result.plan


def test_the_list_names_each_variant_and_what_catches_it() -> None:
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        variant = variant_of(name)
        assert f"`{name}`" in listed
        assert all(promise in listed for promise in variant.caught_by), name
