"""The table of long runs in docs/guarantees.md matches the campaigns' files."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.support import campaign
from tests.support.campaign import FOLDER, UNITS, Campaign, python_code, table


def test_the_table_is_made_of_the_files() -> None:
    """`python -m tests.support.campaign` renews it."""
    assert {file.stem for file in FOLDER.glob("*.json")} == set(UNITS)
    assert table() + "\n" in (ROOT / "docs" / "guarantees.md").read_text()


def test_runs_add_up_on_the_same_sources_and_stand_apart_on_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sums.json"
    monkeypatch.setattr(campaign, "core_hash", lambda: "before")
    one, beside = Campaign(file), Campaign(file)
    one.add(3, 0, {"deaths": 2})
    beside.add(4, 1, {"deaths": 1, "stall": 5})
    monkeypatch.setattr(campaign, "core_hash", lambda: "now")
    Campaign(file).add(1, 0, {})

    before, now = Campaign(file).sums

    assert (before.tree, before.done, before.violations) == ("before", 7, 1)
    assert before.faults == {"deaths": 3, "stall": 5}
    assert (now.tree, now.done, Campaign(file).done) == ("now", 1, 1)


def test_comments_and_docstrings_are_no_part_of_the_sources() -> None:
    assert python_code('def add(a, b):\n    """Add."""\n    return a + b  # sum\n') == (
        python_code("def add(a, b): return a + b")
    )
    assert python_code("a + b") != python_code("a - b")
