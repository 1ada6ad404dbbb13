"""Results: how they are truncated for the job's row, and which links they have."""

import json
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import results, serialization
from receiver.domain.results import links_of, truncate_result
from store.records.jobs import Status
from tests.domain.jobs import LINK, in_state, report


def test_what_does_not_fit_is_not_even_read() -> None:
    """A provider's result can have 16 MiB, and the only writer waits while it is cut."""
    unreadable: Any = object()
    for _ in range(50):
        unreadable = ["x" * 2_000, unreadable]
    assert truncate_result({"deep": unreadable})["truncated"] is True


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3) | st.just("videoUrl"), values), st.integers(30, 120))
def test_a_result_is_cut_where_each_member_alone_would_be(whole: dict[str, Any], room: int) -> None:
    def beginning(value: Any, room: int) -> Any:
        """The definition, which measures everything again at each depth."""
        if isinstance(value, str) and room >= 2:
            ends = range(len(value) + 1)
            return max((value[:end] for end in ends if size(value[:end]) <= room), key=len)
        if isinstance(value, dict | list) and room >= 2:
            names = value if isinstance(value, dict) else range(len(value))
            kept: dict[Any, Any] = {}
            room -= 2
            for name in names:
                room -= size(name) + 1 if isinstance(value, dict) else 0
                whole = size(value[name]) <= room
                if (part := value[name] if whole else beginning(value[name], room)) or whole:
                    kept[name] = part
                if not whole:
                    break
                room -= size(part) + 1
            return kept if isinstance(value, dict) else list(kept.values())
        return None

    def size(value: Any) -> int:
        return len(json.dumps(value, separators=(",", ":")))

    with patch.object(results, "RESULT_BYTES", room):
        fitted = truncate_result(whole)
    first = {"videoUrl": whole["videoUrl"]} if "videoUrl" in whole else {}
    cut = beginning(first | whole, room - size({"truncated": True}))
    assert fitted == (whole if size(whole) <= room else cut | {"truncated": True})
    assert list(fitted)[:-1] == list(whole if size(whole) <= room else cut)[: len(fitted) - 1]


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


def test_a_result_of_64_kib_is_kept_whole() -> None:
    result = {"videoUrl": LINK, "frames": ""}
    room = 64 * 1024 - len(serialization.compact_json(result))
    whole = result | {"frames": "f" * room}
    assert truncate_result(whole) == whole
    too_long = result | {"frames": "f" * (room + 1)}
    assert truncate_result(too_long)["truncated"] is True
