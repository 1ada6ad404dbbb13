"""The table of results: one line for each figure, with its bound and its baseline."""

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
    """The bound; empty for lines that only explain."""
    baseline: str = ""
    """The absolute value, or the baseline of the same run."""

    def __str__(self) -> str:
        wanted = self.wanted and f"wanted {self.wanted}"
        return f"{self.what:52} {self.figure:>22}  {wanted:25} {self.baseline}".rstrip()


def ratio(ratios: Sequence[float]) -> str:
    """The median of all rounds, and their range."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def quantile(values: Iterable[float], share: float) -> float:
    """The value that `share` of all do not exceed; infinite if there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else math.inf


def show(lines: Iterable[Line]) -> None:
    """Print each line when it comes."""
    for line in lines:
        print(line, flush=True)
