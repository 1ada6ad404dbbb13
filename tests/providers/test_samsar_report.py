"""Reading Samsar's reports, in every shape that was observed."""

import math
from typing import Any

import pytest

from receiver.domain.answers import Report
from receiver.providers.samsar.upstream import read_report
from store.records.jobs import Status

LINK = "https://cdn.example/v.mp4?sig=1"
SECOND = "https://cdn.example/second.mp4"
URLS = [LINK, SECOND]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"result": {"videoUrl": LINK, "seconds": 30}}, {"videoUrl": LINK, "seconds": 30}),
        (
            {"session_id": "r", "result_url": LINK, "video": {"url": LINK}},
            {"videoUrl": LINK, "result_url": LINK, "video": {"url": LINK}},
        ),
    ],
    ids=["the contract's", "the open server's"],
)
def test_outcomes(given: dict[str, Any], read: dict[str, Any]) -> None:
    said = {"request_id": "r", "status": "COMPLETED", "message": "All done!", **given}
    assert read_report(said) == Report(Status.COMPLETED, "COMPLETED", None, read, "All done!", "r")


@pytest.mark.parametrize(
    ("body", "member", "read"),
    [
        *(({"progress": value}, "progress", value) for value in (0, 45, 99.5, 100, 0.1)),
        *(({"progress": value}, "progress", None) for value in (-1, 100.1, True, "45", None, [45])),
        *(({"progress": value}, "progress", None) for value in (math.nan, math.inf, 10**5000)),
        *(
            ({"status": value}, "provider_status", None)
            for value in (None, "", "  ", 3, True, ["COMPLETED"])
        ),
        ({"status": {"is": "COMPLETED"}}, "provider_status", None),
        ({"message": "a", "error": {"message": "b"}}, "message", "a"),
        ({"message": "", "error": {"message": "b"}}, "message", "b"),
        ({"message": 7, "error": "c"}, "message", "c"),
        ({"error": {"message": None}, "expressGenerationError": "d"}, "message", "d"),
        ({"message": "a\x00\ud800"}, "message", "a\ufffd\ufffd"),
        ({"message": {"text": "a"}, "error": ["b"], "expressGenerationError": 4}, "message", None),
        *(({"request_id": n}, "provider_request_id", str(n)) for n in ("r", 42, 0, -(2**63) - 1)),
        *(
            ({"request_id": each}, "provider_request_id", str(each))
            for each in ("x" * 200, 10**199)
        ),
        *(({"request_id": n}, "provider_request_id", None) for n in (10**200, 10**4000, "", True)),
        *(({"request_id": n}, "provider_request_id", None) for n in (1.0, ["r"])),
        ({"request_id": "x" * 201, "session_id": "s"}, "provider_request_id", None),
        ({"request_id": None, "session_id": "s"}, "provider_request_id", "s"),
        ({"request_id": "r", "session_id": "s"}, "provider_request_id", "r"),
        ({"result": LINK}, "result", {"videoUrl": LINK}),
        ({"result": [LINK, "a"]}, "result", {"result_urls": [LINK, "a"], "videoUrl": LINK}),
        *(({"result": value}, "result", None) for value in ("done", 7, [7], [], None, True)),
        ({"videoUrl": "HTTPS://cdn.example"}, "result", {"videoUrl": "HTTPS://cdn.example"}),
        ({"videoUrl": f"{LINK}#a b"}, "result", {"videoUrl": f"{LINK}#a b"}),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value)[:40],
)
def test_a_member(body: dict[str, Any], member: str, read: Any) -> None:
    assert getattr(read_report(body), member) == read


@pytest.mark.parametrize(
    ("status", "provider_statuses"),
    [
        (Status.PENDING, ["PENDING"]),
        (Status.IN_PROGRESS, ["in_progress", "PAUSED", "IMAGE_GENERATION"]),
        (Status.COMPLETED, [" Completed\n"]),
        (Status.FAILED, ["FAILED"]),
        (Status.CANCELLED, ["CANCELLED", "canceled"]),
    ],
)
def test_provider_statuses(status: Status, provider_statuses: list[str]) -> None:
    for provider_status in provider_statuses:
        report = read_report({"status": provider_status})
        assert (report.status, report.provider_status) == (status, provider_status)


@pytest.mark.parametrize(
    "named",
    [
        {"videoUrl": LINK},
        {"result_url": LINK},
        {"result_urls": URLS},
        {"result_urls": [None, "", 7, LINK]},
        {"video": {"url": LINK, "thumbnail": "https://cdn.example/t.png"}},
        {"url": LINK},
        {"video_link": LINK},
        {"videoLink": LINK},
        {"remoteURL": LINK},
        {"remoteURL": f"  {LINK}\n"},
        {"videoUrl": "", "result_url": 7, "url": "ftp://cdn.example/v", "remoteURL": LINK},
    ],
)
def test_a_link_is_found_under_every_name(named: dict[str, Any]) -> None:
    assert read_report(named | {"seconds": 30}).result == {**named, "videoUrl": LINK}
    inside = read_report({"result": {**named, "seconds": 30}})
    assert inside.result == {**named, "seconds": 30, "videoUrl": LINK}


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (
            {"result": {"seconds": 30, "videoUrl": None}, "result_url": LINK},
            {"seconds": 30, "result_url": LINK},
        ),
        (
            {"result": {"url": None}, "url": LINK, "result_urls": [SECOND]},
            {"url": LINK, "result_urls": [SECOND], "videoUrl": SECOND},
        ),
        ({"result": {"url": SECOND}, "videoUrl": LINK}, {"url": SECOND}),
        ({"result": {"video": "n/a"}, "video": {"url": LINK}}, {"video": {"url": LINK}}),
    ],
)
def test_links_beside_a_result_join_it(body: dict[str, Any], result: dict[str, Any]) -> None:
    assert read_report(body).result == {"videoUrl": LINK} | result


@pytest.mark.parametrize(
    "link",
    [
        *(None, "", " ", 7, True, [LINK], "null"),
        *("/relative.mp4", "//cdn.example/v.mp4", "ftp://cdn.example/v.mp4"),
        *("javascript:alert(1)", "https://", "https:///v.mp4"),
        *("https://cdn.example/\r\nSet-Cookie: a=b", "https://cdn.example/\x00"),
    ],
)
def test_invalid_links(link: Any) -> None:
    for body in ({"result": {"videoUrl": link}}, {"result_url": link}, {"video": {"url": link}}):
        report = read_report(body)
        assert report.result is None, body


# --- texts that are too long, and texts that users must not read ----------------------------------

TOKEN = f"job_{'0123456789ABCDEFGHJKMNPQRS'}.{'aZ09_-' * 7}x"
ADDRESS = f"https://receiver.example/webhooks/samsar/{TOKEN}"
KEY = "operator-key-1"


def test_nothing_that_is_read_holds_a_callbacks_token_or_the_operators_key() -> None:
    text, shown = f"{ADDRESS} by {KEY}", "https://receiver.example/webhooks/samsar/… by …"
    result = {"videoUrl": LINK, "given": [{text: text}]}
    report = read_report({"status": f"X {KEY}", "message": text, "result": result}, KEY)
    assert (report.provider_status, report.message) == ("X …", shown)
    assert report.result == {"videoUrl": LINK, "given": [{shown: shown}]}


def test_texts_that_only_resemble_a_token_are_kept() -> None:
    text = "job_0123456789ABCDEFGHJKMNPQRS, job_x.y and short are no secrets"
    assert read_report({"message": text}, "short").message == text


def test_texts_are_truncated() -> None:
    report = read_report({"status": " " * 99 + "failed" + " " * 99, "message": "m" * 10**6})
    assert report.status is Status.FAILED
    assert report.provider_status == " " * 64
    assert report.message == "m" * 8_192
    assert read_report({"message": "m" * 8_150 + TOKEN}).message == "m" * 8_150 + "…"


def test_links_are_not_truncated() -> None:
    longest = f"{LINK}&{'s' * (8_191 - len(LINK))}"
    assert read_report({"videoUrl": longest}).result == {"videoUrl": longest}
    assert read_report({"url": longest + "s"}).result is None
    urls = {"result_urls": [longest + "s", LINK]}
    assert read_report({"result": urls}).result == {"videoUrl": LINK} | urls
