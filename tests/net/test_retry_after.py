"""`Retry-After` as seconds, as a date, and invalid."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.net.retry_after import LONGEST_RETRY_AFTER, read_retry_after

NOW = 1_767_323_045_678


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("0", 0),
        (" 120 ", 120_000),
        ("007", 7_000),
        ("86400", LONGEST_RETRY_AFTER),
        ("86401", LONGEST_RETRY_AFTER),
        ("9" * 5000, LONGEST_RETRY_AFTER),
        ("Fri, 02 Jan 2026 03:04:06 GMT", 322),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 0),
        ("Friday, 02-Jan-26 03:05:05 GMT", 59_322),
        ("Fri Jan  2 03:05:05 2026", 59_322),
        (formatdate(NOW / 1000 + 10 * 86400, usegmt=True), LONGEST_RETRY_AFTER),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_valid_header(header: str, wait: int) -> None:
    assert read_retry_after(header, NOW) == wait


@pytest.mark.parametrize(
    "header",
    [None, "", " ", "soon", "-5", "+5", "1.5", "1e3", "7, 8", "\u0663", "Fri, 99 Jan 2026"],
)
def test_an_invalid_header(header: str | None) -> None:
    assert read_retry_after(header, NOW) is None


@given(st.text())
def test_any_header_is_read_or_ignored(header: str) -> None:
    wait = read_retry_after(header, NOW)
    assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER
