"""Results: how they are truncated for the job's row, and which links they have."""

from receiver.domain import serialization
from receiver.domain.results import links_of, truncate_result
from store.records.jobs import Status
from tests.domain.jobs import LINK, in_state, report


def test_links_are_found_at_any_depth() -> None:
    result = {
        "images": [{"url": "https://a.example/1.png"}, {"url": "HTTP://a.example/2.png"}],
        "again": "https://a.example/1.png",
        "words": "see https://a.example/",
    }
    assert links_of(result) == ["https://a.example/1.png", "HTTP://a.example/2.png"]
    assert links_of(result | {"videoUrl": LINK})[0] == LINK


def test_the_result_of_a_claim_is_cut() -> None:
    """A job's row stays small even while a callback that anybody could have sent is undecided."""
    story = in_state("accepted")
    result = {"videoUrl": LINK, "frames": "f" * 100_000}
    story.called_back(report(Status.COMPLETED, result=result))
    (claim,) = story.job.tracking.claims
    assert claim.result is not None
    assert len(serialization.compact_json(claim.result)) <= 64 * 1024


def test_a_result_over_64_kib_is_replaced_by_its_link() -> None:
    result = {"videoUrl": LINK, "frames": ""}
    room = 64 * 1024 - len(serialization.compact_json(result))
    whole = result | {"frames": "f" * room}
    assert truncate_result(whole) == whole
    too_long = result | {"frames": "f" * (room + 1)}
    assert truncate_result(too_long) == {"videoUrl": LINK, "truncated": True}
    assert truncate_result({"output": ["o" * 70_000]}) == {"truncated": True}
    assert truncate_result({"videoUrl": "x" * 70_000}) == {"truncated": True}
