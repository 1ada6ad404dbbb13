"""Parses `Retry-After` (RFC 9110, section 10.2.3)."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from receiver.domain.schedule import DAY
from store.records.times import Millis

LONGEST_RETRY_AFTER: Millis = DAY
"""The upper limit, so that a wrong header cannot stop us for good."""

_LONGEST_DATE = 64
"""Characters; an HTTP date has 29."""


def read_retry_after(header: str | None, now: Millis) -> Millis | None:
    """Parse seconds or an HTTP date. Returns milliseconds from `now`, at most
    `LONGEST_RETRY_AFTER`; None if unreadable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        # Python refuses to parse thousands of digits; more than twelve are taken for over a day.
        return LONGEST_RETRY_AFTER if len(text) > 12 else min(int(text) * 1000, LONGEST_RETRY_AFTER)
    if len(text) > _LONGEST_DATE:
        return None
    try:
        wished = parsedate_to_datetime(text)
        # The asctime format has no zone and means UTC; a naive datetime would be local time.
        wished_at = round(
            (wished if wished.tzinfo else wished.replace(tzinfo=UTC)).timestamp() * 1000
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wished_at - now, 0), LONGEST_RETRY_AFTER)
