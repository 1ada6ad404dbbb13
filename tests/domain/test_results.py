"""Results: how they are truncated for the job's row, and which links they have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import serialization
from receiver.domain.results import fitting_result, links_of
from store.records.jobs import Status
from tests.domain.jobs import LINK, in_state, report

members = st.dictionaries(
    st.sampled_from("abcdef"),
    st.sampled_from([1, "x" * 100, "y" * 30_000, "z" * 70_000]),
    max_size=6,
)


@given(members, st.integers(0, 6), st.sampled_from([LINK, LINK + "?" + "s" * 40_000]))
def test_a_result_over_64_kib_keeps_its_link_and_what_fits(
    others: dict[str, Any], index: int, link: str
) -> None:
    items = list(others.items())
    items.insert(index, ("videoUrl", link))
    given_result = dict(items)
    fitted = fitting_result(given_result)
    assert fitted["videoUrl"] == link
    assert len(serialization.compact_json(fitted)) <= 64 * 1024
    if fitted is given_result:
        return
    assert fitted["truncated"] is True
    kept = [name for name in fitted if name not in ("videoUrl", "truncated")]
    assert kept == [name for name in given_result if name != "videoUrl"][: len(kept)]
    assert all(fitted[name] == given_result[name] for name in kept[:-1])


@pytest.mark.parametrize(
    "members",
    [
        {"text": "t" * 100_000},
        {"text": "\U0001f600" * 100_000},
        {"list": ["x" * 100] * 1_000},
        {"a": 1, "deep": {"b": [{"c": "d" * 100_000}]}, "after": 2},
        {"number": 10**3_000, "more": [10**3_000] * 100},
    ],
    ids=lambda members: next(iter(members)),
)
def test_a_result_is_cut_at_its_end(members: dict[str, Any]) -> None:
    fitted = fitting_result(members)
    size = len(serialization.compact_json(fitted))
    assert 60 * 1024 < size <= 64 * 1024
    assert list(fitted) == [name for name in (*members, "truncated") if name != "after"]


def test_links_are_found_at_any_depth() -> None:
    result = {
        "images": [{"url": "https://a.example/1.png"}, {"url": "HTTP://a.example/2.png"}],
        "again": "https://a.example/1.png",
        "words": "see https://a.example/",
    }
    assert links_of(result) == ["https://a.example/1.png", "HTTP://a.example/2.png"]
    assert links_of(result | {"videoUrl": LINK})[0] == LINK


def test_the_result_of_a_claim_is_cut() -> None:
    """The row of a job stays narrow, also while a callback that anybody could send is undecided."""
    story = in_state("accepted")
    result = {"videoUrl": LINK, "frames": "f" * 100_000}
    story.called_back(report(Status.COMPLETED, result=result))
    (claim,) = story.job.tracking.claims
    assert claim.result is not None
    assert len(serialization.compact_json(claim.result)) <= 64 * 1024


def test_a_result_of_64_kib_is_kept_whole() -> None:
    result = {"videoUrl": LINK, "frames": ""}
    room = 64 * 1024 - len(serialization.compact_json(result))
    whole = result | {"frames": "f" * room}
    assert fitting_result(whole) == whole
    too_long = result | {"frames": "f" * (room + 1)}
    assert fitting_result(too_long)["truncated"] is True
