"""Cleaning a provider's JSON: whatever it sends, the result can be stored and sent."""

import json
from typing import Any

import pytest
from hypothesis import given

from receiver.json_text import MAX_DIGITS
from receiver.upstream.calls import read_response
from receiver.upstream.parsing import clean
from tests.providers.any_json import any_json


def read(raw: bytes) -> Any:
    return clean(read_response(200, {}, bytearray(raw)).value)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"\\udfff": "\\ud800b\\u0000"}', {"\ufffd": "\ufffdb\ufffd"}),
        (b'"\\ud83d\\ude00 caf\xe9"', "\U0001f600 caf\ufffd"),
        (b"18446744073709551616", 18446744073709551616),
        (b"9" * MAX_DIGITS, 10**MAX_DIGITS - 1),
        *(
            (odd, None)
            for odd in (b"NaN", b"-Infinity", b"1e309", b"-1e309", b"9" * (MAX_DIGITS + 1))
        ),
        (b"[" * 500 + b"]" * 500, json.loads("[" * 63 + "null" + "]" * 63)),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_answer_is_read_whatever_odd_value_it_has(raw: bytes, value: Any) -> None:
    """The submission is not sent again, and its outcome would otherwise be lost."""
    assert read(b"\xef\xbb\xbf[1, %b]" % raw) == [1, value]


@given(any_json)
def test_clean_leaves_nothing_that_an_encoder_refuses(value: Any) -> None:
    cleaned = clean(value)
    text = json.dumps(cleaned, allow_nan=False, ensure_ascii=False)
    assert "\x00" not in json.dumps(cleaned, ensure_ascii=False)
    text.encode()
    assert clean(cleaned) == cleaned
    assert read(text.encode()) == cleaned
