"""What jobs cost, exactly, and the budgets of users.

Amounts are decimals of any length, which a product of a price and a number in an input can have: no
64-bit integer could hold the 12 digits on both sides of the point that a price alone may have.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact
from enum import StrEnum
from typing import Final, Self

from store.records.times import Millis

EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
"""Arithmetic that never rounds."""
ZERO: Final = Decimal(0)

AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12}")
AMOUNT_RULE: Final = "digits with at most one point, at most 12 on each side"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CostState(StrEnum):
    """What is known of a job's cost."""

    RESERVED = "reserved"
    """The job is not done: what its price and its input say."""
    SETTLED = "settled"
    """It completed: what the provider measured, else what was reserved."""
    RELEASED = "released"
    """It certainly was not billed: nothing."""
    UNKNOWN = "unknown"
    """It ended otherwise, and may have been billed: what was reserved."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job costs, as far as it is known."""

    amount: Decimal
    currency: str
    state: CostState
    reserved: Decimal
    """The amount at its creation."""
    rates: Mapping[str, Decimal]
    """The prices of what the provider measures, by name; of the job's creation, as all of this."""


def plain(amount: Decimal) -> str:
    """Digits without an exponent and without trailing zeros."""
    return f"{amount.normalize(EXACT):f}"


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a user may spend in a calendar period, in UTC."""

    text: str
    """As it was set, such as `50/day`."""
    amount: Decimal
    period: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError, with what is needed."""
        amount, _, period = text.partition("/")
        if not AMOUNT.fullmatch(amount) or period not in ("hour", "day", "month"):
            raise ValueError(
                f"{text[:64]!r} is no budget: AMOUNT/hour, AMOUNT/day or AMOUNT/month is needed, as"
                f" in 50/day, or none. The amount is {AMOUNT_RULE}"
            )
        return cls(text, Decimal(amount), period)

    def period_at(self, at: Millis) -> tuple[Millis, Millis]:
        """Beginning and end (exclusive) of the period with this time."""
        moment = (_EPOCH + timedelta(milliseconds=at)).replace(minute=0, second=0, microsecond=0)
        match self.period:
            case "hour":
                end = moment + timedelta(hours=1)
            case "day":
                moment = moment.replace(hour=0)
                end = moment + timedelta(days=1)
            case _:
                moment = moment.replace(hour=0, day=1)
                end = (moment + timedelta(days=31)).replace(day=1)
        return _millis(moment), _millis(end)


def _millis(moment: datetime) -> Millis:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
