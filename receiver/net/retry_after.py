"""Parses `Retry-After` (RFC 9110, section 10.2.3)."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from store.records.times import Millis

LONGEST_RETRY_AFTER: Millis = 24 * 3_600_000
"""The upper limit, so that a wrong header cannot stop us for good."""


def read_retry_after(header: str | None, now: Millis) -> Millis | None:
    """Parse seconds or an HTTP date. Returns milliseconds from `now`, at most
    `LONGEST_RETRY_AFTER`; None if unreadable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        # Unlike an `int`, a `float` can have any number of digits.
        return int(min(float(text) * 1_000, LONGEST_RETRY_AFTER))
    try:
        wished = parsedate_to_datetime(text)
        # The asctime format has no zone and means UTC; a naive datetime would be local time.
        wished_at = (wished if wished.tzinfo else wished.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(round(wished_at * 1_000) - now, 0), LONGEST_RETRY_AFTER)
