"""Results: how they are truncated for the job's row, and which links they have."""

from receiver.domain import serialization
from receiver.domain.observations import DownloadEnded, FileFailed, FileStored
from receiver.domain.results import links_of, truncate_result
from receiver.domain.schedule import MINUTE, Rules
from store.records.jobs import Status
from tests.domain.jobs import LINK, UNAVAILABLE, in_state, report, status_call


def test_links_are_found_at_any_depth() -> None:
    result = {
        "images": [{"url": "https://a.example/1.png"}, {"url": "HTTP://a.example/2.png"}],
        "again": "https://a.example/1.png",
        "words": "see https://a.example/",
    }
    assert links_of(result) == ["https://a.example/1.png", "HTTP://a.example/2.png"]
    assert links_of(result | {"videoUrl": LINK})[0] == LINK


def test_of_claims_only_the_first_result_is_kept_whole_and_it_is_the_one_that_is_trusted() -> None:
    story = in_state("accepted", rules=Rules(archive=True))
    result = {"videoUrl": LINK, "frames": "f" * 100_000, "cover": "https://a.example/1.png"}
    for _ in range(2):
        story.called_back(report(Status.COMPLETED, result=result))
    first, second = story.job.tracking.claims
    assert (first.result, second.result) == (result, {"videoUrl": LINK, "truncated": True})
    story.poll(UNAVAILABLE)
    transition = story.observe(status_call(story.now + MINUTE, UNAVAILABLE), MINUTE)
    assert transition is not None
    assert transition.whole_result == result
    assert story.job.result == {"videoUrl": LINK, "truncated": True}
    assert [file.link for file in story.job.archive] == [LINK, "https://a.example/1.png"]


def test_the_files_of_a_result_make_one_event_when_the_last_is_settled() -> None:
    story = in_state("accepted", rules=Rules(archive=True))
    story.poll(report(Status.COMPLETED, result={"videoUrl": LINK, "cover": LINK + "?cover"}))
    events = []
    for ended in (
        DownloadEnded(1, 0, FileFailed("timeout")),
        DownloadEnded(0, 0, FileStored(5, "video/mp4", "0" * 64, "ann/1")),
        DownloadEnded(1, 1, FileFailed("bad_status: 404", final=True)),
    ):
        transition = story.observe(ended)
        assert transition is not None
        assert transition.relay is None
        events.append(transition.event is not None)
    assert events == [False, False, True]
    assert story.job.due is None


def test_a_result_over_64_kib_is_replaced_by_its_link() -> None:
    result = {"videoUrl": LINK, "frames": ""}
    room = 64 * 1024 - len(serialization.compact_json(result))
    whole = result | {"frames": "f" * room}
    assert truncate_result(whole) == whole
    too_long = result | {"frames": "f" * (room + 1)}
    assert truncate_result(too_long) == {"videoUrl": LINK, "truncated": True}
    assert truncate_result({"output": ["o" * 70_000]}) == {"truncated": True}
    assert truncate_result({"videoUrl": "x" * 70_000}) == {"truncated": True}
