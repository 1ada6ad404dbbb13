"""`Retry-After`: how long another server asks us to wait (RFC 9110, section 10.2.3)."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from store.records import Millis

LONGEST: Millis = 24 * 60 * 60 * 1000
"""A day. Nobody's wish holds us longer, so that one wrong header cannot stop us for good."""


def read_retry_after(header: str | None, now: Millis) -> Millis | None:
    """Milliseconds from `now`, 0 to `LONGEST`, from seconds or an HTTP date; None for rubbish."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        # Python refuses to read numbers of thousands of digits; twelve are over a day in any case.
        return LONGEST if len(text) > 12 else min(int(text) * 1000, LONGEST)
    try:
        wished = parsedate_to_datetime(text)
        # The old date forms carry no zone and mean UTC; a naive datetime would be taken as local.
        wished_at = round(
            (wished if wished.tzinfo else wished.replace(tzinfo=UTC)).timestamp() * 1000
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wished_at - now, 0), LONGEST)
