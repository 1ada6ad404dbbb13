"""Cleaning a provider's JSON: whatever it sends, the result can be stored and sent."""

import json
from typing import Any

import pytest
from hypothesis import given

from receiver.json_text import MAX_DEPTH, UnreadableJson, decode, parse
from receiver.providers.calls import read_answer
from receiver.providers.parsing import clean
from tests.providers.any_json import any_json


def read_json(raw: bytes) -> Any:
    return clean(parse(decode(raw)))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": "\\ud800b\\u0000"}', {"a": "\ufffdb\ufffd"}),
        (b'{"\\udfff": 1}', {"\ufffd": 1}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"caf\xe9"', "caf\ufffd"),
        (b"18446744073709551616", 18446744073709551616),
        (b"9223372036854775807", 9223372036854775807),
        (b"1" + b"0" * 400, 10**400),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1), None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_json_that_can_be_read(raw: bytes, value: Any) -> None:
    expected = json.loads(raw) if value is None and raw.startswith(b"[") else value
    assert read_json(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"{} {}", b"NaN", b"-Infinity", b"1e309", b"-1e309", b"9" * 5000),
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 100_000,
        "{}".encode("utf-16"),
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_json_that_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(UnreadableJson):
        read_json(raw)


@pytest.mark.parametrize(
    ("odd", "value"),
    [
        *((odd, None) for odd in ("NaN", "-Infinity", "1e309", "-1e309", "9" * 5_000)),
        ("9" * 4_000, 10**4_000 - 1),
        ("[" * 500 + "]" * 500, json.loads("[" * 63 + "null" + "]" * 63)),
    ],
    ids=lambda odd: str(odd)[:9] if isinstance(odd, str) else "",
)
def test_an_answer_to_a_call_is_read_beside_an_odd_value(odd: str, value: Any) -> None:
    """The submission is not sent again, and its outcome would otherwise be lost."""
    answer = read_answer(200, None, bytearray(b'{"id": 1, "odd": %s}' % odd.encode()), "")
    assert clean(answer.body) == {"id": 1, "odd": value}


@given(any_json)
def test_clean_leaves_nothing_that_an_encoder_refuses(value: Any) -> None:
    cleaned = clean(value)
    text = json.dumps(cleaned, allow_nan=False, ensure_ascii=False)
    assert "\x00" not in json.dumps(cleaned, ensure_ascii=False)
    text.encode()
    assert clean(cleaned) == cleaned
    assert read_json(text.encode()) == cleaned


def test_clean_drops_what_is_too_deep_and_never_recurses_into_it() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    cleaned = clean(deep)
    for _ in range(MAX_DEPTH):
        (cleaned,) = cleaned
    assert cleaned is None
    while deep != "bottom":  # level by level, because freeing it at once would recurse
        (deep,) = deep
