"""What bodies say about a job; no body makes a reader raise."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.answers import Report
from receiver.json_text import parse
from receiver.providers.described.description import Description
from receiver.providers.described.reading import (
    callback_reader,
    read_delay,
    read_text,
    status_code_meant,
    status_reader,
)
from store.records.jobs import Status
from tests.described.files import READ, SUBMIT, described
from tests.providers.any_json import any_json

CALLS = SUBMIT + 'body = { hook = "{callback_url}" }\n'


def status(one: Description, body: Any) -> Report:
    return status_reader(one).read(body)


def callback(one: Description, body: Any, **headers: str) -> Report:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return callback_reader(one).read(body, given)


@pytest.mark.parametrize(
    ("word", "means", "raw"),
    [
        ("waiting", Status.PENDING, "waiting"),
        (" Waiting ", Status.PENDING, "Waiting"),
        ("STRASSE", Status.IN_PROGRESS, "STRASSE"),
        (1, Status.COMPLETED, "1"),
        (1.0, Status.COMPLETED, "1"),
        ("1", Status.COMPLETED, "1"),
        (True, Status.CANCELLED, "true"),
        (2.5, Status.FAILED, "2.5"),
        ("other", None, "other"),
        (7, None, "7"),
        ("", None, None),
        (" ", None, None),
        (None, None, None),
        ({}, None, None),
        (["waiting"], None, None),
    ],
)
def test_words(word: Any, means: Status | None, raw: str | None) -> None:
    one = described(
        words='[read.words]\nqueued = ["waiting"]\nprocessing = ["straße"]\ncompleted = [1]\n'
        "failed = [2.5]\ncancelled = [true]\n"
    )
    report = status(one, {"state": word})
    assert (report.status, report.provider_status) == (means, raw)


def test_absent_words() -> None:
    one = described(read=READ + 'absent = "processing"\nfailed_if = "/error"\n')
    assert status(one, {}).status is Status.IN_PROGRESS
    assert status(one, {"state": "new"}).status is None, "an unknown word is not absent"


@pytest.mark.parametrize("found", [None, False, "", [], {}, 0])
def test_what_is_nothing_fails_no_job(found: Any) -> None:
    one = described(read=READ + 'failed_if = ["/a", "/error"]\n')
    assert status(one, {"state": "done", "error": found}).status is Status.COMPLETED
    assert status(one, {"state": "done", "error": "x"}).status is Status.FAILED
    assert status(one, {"state": "waiting", "error": "x"}).status is Status.PENDING


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"result": {"url": "x"}}, {"url": "x"}),
        ({"result": ["x"]}, {"output": ["x"]}),
        ({"result": False}, {"output": False}),
        ({"result": None}, {"output": None}),
        ({"result": None, "other": "x"}, {"output": "x"}),
        ({"other": None}, {"output": None}),
        ({}, None),
    ],
)
def test_results(body: Mapping[str, Any], result: Any) -> None:
    one = described(read=READ.replace('"/result"', '["/result", "/other"]'))
    assert status(one, {"state": "done", **body}).result == result
    assert status(one, {"state": "broken", **body}).result is None


def test_errors() -> None:
    one = described(read=READ + 'error = ["/error/message", "/error"]\n')
    for error, message in (({"message": "No"}, "No"), ("No", "No"), ({"a": 1}, '{"a": 1}')):
        assert status(one, {"state": "broken", "error": error}).message == message
    assert status(one, {"state": "broken"}).message is None
    assert status(one, {"state": "waiting", "error": "x"}).message is None


@pytest.mark.parametrize(
    ("given", "progress"),
    [
        *(("0", 0), ("0.4", 40), ("1", 100), ("1.0", 100)),
        *((other, None) for other in ("-0.1", "1.01", "true", '"0.5"', "null", "[]", "1e200")),
    ],
)
def test_progress(given: str, progress: float | None) -> None:
    one = described(read=READ + 'progress = "/progress"\nprogress_scale = 1\n')
    assert status(one, parse(f'{{"state": "waiting", "progress": {given}}}')).progress == progress


def test_measures() -> None:
    one = described(read=READ + 'measured = { usd = "/usage/cost", seconds = ["/s", "/t"] }\n')
    body = parse('{"usage": {"cost": 0.30000000000000000001}, "s": null, "t": "5"}')
    expected = {"usd": Decimal("0.30000000000000000001"), "seconds": Decimal(5)}
    assert status(one, body).measured == expected
    assert status(one, {"usage": {"cost": -1}, "s": "many"}).measured == {}


@pytest.mark.parametrize("given", [None, "", " ", "x" * 201, True, 1.5, [], ".", ".."])
def test_what_is_no_id(given: Any) -> None:
    assert status(described(), {"id": given}).provider_request_id is None
    assert status(described(), {"id": 12}).provider_request_id == "12"


# --- callbacks ------------------------------------------------------------------------------------


def test_a_callback_in_an_envelope() -> None:
    one = described('[callback]\nroot = "/data"', submit=CALLS)
    report = callback(one, {"data": {"id": "up-1", "state": "done", "result": {"a": 1}}})
    assert (report.status, report.provider_request_id) == (Status.COMPLETED, "up-1")
    assert report.result == {"a": 1}
    assert callback(one, {"id": "up-1", "state": "done"}) == Report()


def test_a_thin_callback_with_words_of_its_own() -> None:
    one = described(
        '[callback]\nid = "/task"\nthin = true\nwords = { completed = ["OK"] }', submit=CALLS
    )
    report = callback(one, {"task": 7, "state": "ok", "result": {"a": 1}})
    assert (report.status, report.provider_request_id) == (Status.COMPLETED, "7")
    assert report.result is None
    assert callback(one, {"state": "done"}).status is None


def test_a_callback_with_id_and_word_in_headers() -> None:
    one = described(
        '[callback]\nid = "header:X-Task-Id"\nword = ["/s", "header:X-Task-Status"]\nresult = ""',
        submit=CALLS,
    )
    report = callback(one, {"data": 1}, x_task_id="up-1", x_task_status="DONE")
    assert (report.status, report.provider_request_id) == (Status.COMPLETED, "up-1")
    assert report.result == {"data": 1}


def test_a_result_without_a_word() -> None:
    one = described(
        '[callback]\nonly = true\nabsent = "completed"\nresult = "/data"\nfailed_if = "/errors"',
        submit=CALLS, status="", read="", words="",
    )  # fmt: skip
    assert callback(one, {"data": {"a": 1}}).result == {"a": 1}
    assert callback(one, {"data": None, "errors": [{"code": 1}]}).status is Status.FAILED


# --- errors ---------------------------------------------------------------------------------------


def test_codes_in_a_200() -> None:
    one = described(
        '[errors]\ncode = "/base/code"\nok = [0]\nbusy = [1002, "RATE"]\ndenied = [1004]\n'
        'message = "/base/msg"\nretry_after = "/base/wait"'
    ).errors

    def meant(code: Any) -> int | None:
        return status_code_meant(one, {"base": {"code": code}})

    codes = (0, "0", 1002, "rate", 1004, 5, None)
    assert [meant(code) for code in codes] == [None, None, 429, 429, 401, 400, None]
    assert status_code_meant(one, {}) is None
    assert read_text(one.message, {"base": {"msg": "No"}}) == "No"
    assert read_delay(one, {"base": {"wait": 3}}) == 3
    few = described('[errors]\ncode = "/code"\nbusy = ["b"]').errors
    assert [status_code_meant(few, {"code": each}) for each in ("a", "B")] == [None, 429]


NAMES = st.sampled_from(["id", "state", "result", "error", "p", "m", "data", "0"])
JSON = any_json | st.dictionaries(NAMES, any_json | st.dictionaries(NAMES, any_json))


@given(JSON, st.dictionaries(st.sampled_from(["x-id", "x-word"]), st.text()))
def test_nothing_raises(body: Any, headers: dict[str, str]) -> None:
    one = described(
        '[callback]\nroot = "/data"\nid = ["/id", "header:x-id"]\nword = ["/0", "header:x-word"]',
        '[errors]\ncode = "/state"\nok = [1]',
        read=READ
        + 'error = "/error"\nprogress = "/p"\nmeasured = { m = "/m" }\nfailed_if = "/m"\n',
        submit=CALLS,
    )
    for report in (status_reader(one).read(body), callback_reader(one).read(body, headers)):
        assert report.result is None or report.status is Status.COMPLETED
        assert report.progress is None or 0 <= report.progress <= 100
    if isinstance(body, dict):
        assert status_code_meant(one.errors, body) in (None, 400)
