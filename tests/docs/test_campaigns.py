"""The table of long runs in docs/guarantees.md matches the campaigns' files."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from tests.docs.pages import ROOT
from tests.fuzz.readers import READERS, first_inputs
from tests.simulation.schedule import random_schedule
from tests.simulation.simulate import simulate
from tests.support import campaign
from tests.support.campaign import EDGES, FOLDER, LEFT_OUT, UNITS, Campaign, python_code, table


def test_the_table_is_made_of_the_files() -> None:
    """`python -m tests.support.campaign` renews it."""
    assert {file.stem for file in FOLDER.glob("*.json")} == set(UNITS)
    assert table() + "\n" in (ROOT / "docs" / "guarantees.md").read_text()


def test_runs_add_up_on_the_same_sources_and_stand_apart_on_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sums.json"
    monkeypatch.setattr(campaign, "source_hash", lambda _: "before")
    one, beside = Campaign("crash", file), Campaign("crash", file)
    one.add(3, 0, {"deaths": 2})
    beside.add(4, 1, {"deaths": 1, "stall": 5})
    monkeypatch.setattr(campaign, "source_hash", lambda _: "now")
    Campaign("crash", file).add(1, 0, {})

    before, now = Campaign("crash", file).sums

    assert (before.tree, before.done, before.violations) == ("before", 7, 1)
    assert before.faults == {"deaths": 3, "stall": 5}
    assert (now.tree, now.done, Campaign("crash", file).done) == ("now", 1, 1)


def test_runs_on_equivalent_sources_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sums.json"
    monkeypatch.setattr(campaign, "source_hash", lambda _: "before")
    Campaign("simulation", file).add(3, 0, {})
    (before,) = json.loads(file.read_text())
    file.write_text(json.dumps([before | {"equivalent": ["now"]}]))
    monkeypatch.setattr(campaign, "source_hash", lambda _: "now")

    (both,) = Campaign("simulation", file).add(4, 0, {}).sums

    assert (both.tree, both.equivalent, both.done) == ("before", ["now"], 7)
    assert Campaign("simulation", file).done == 7


def simulated() -> None:
    for seed in range(3):
        simulate(random_schedule(seed))


def fuzzed() -> None:
    for name, reader in READERS.items():
        for given in first_inputs(name):
            reader(given)


@pytest.mark.parametrize(("kind", "run"), [("simulation", simulated), ("fuzz", fuzzed)])
def test_sources_that_a_run_leaves_out_are_not_called(kind: str, run: Callable[[], None]) -> None:
    called: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>":
            called.add(code.co_filename.removeprefix(f"{ROOT}/"))

    profiler = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(profiler)
    assert len(called) > 30
    left_out = tuple(set(LEFT_OUT[kind]) - set(EDGES))
    assert not [file for file in called if file.startswith(left_out)]


def test_comments_and_docstrings_are_no_part_of_the_sources() -> None:
    assert python_code('def add(a, b):\n    """Add."""\n    return a + b  # sum\n') == (
        python_code("def add(a, b): return a + b")
    )
    assert python_code("a + b") != python_code("a - b")
