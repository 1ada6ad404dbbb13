"""The form of what is measured: one line a figure, beside what it should be and its baseline."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    what: str
    figure: str
    wanted: str
    """Empty for what only explains."""
    baseline: str = ""
    """What it was measured beside, in the same run."""

    def __str__(self) -> str:
        wanted = self.wanted and f"wanted {self.wanted}"
        return f"{self.what:52} {self.figure:>22}  {wanted:25} {self.baseline}".rstrip()


def ratio(ratios: Sequence[float]) -> str:
    """The median of rounds, and how far they lie apart."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def quantile(values: Iterable[float], share: float) -> float:
    """`share` of all are not above it; infinite where there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else math.inf


def show(lines: Iterable[Line]) -> None:
    """Print each as it comes."""
    for line in lines:
        print(line, flush=True)
