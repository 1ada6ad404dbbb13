"""A load of the benchmark `lives`, and what was measured under it."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Load:
    """The load that is offered."""

    rate: float
    """Jobs a second."""
    seconds: float
    """Seconds that are measured. The load starts `warm` seconds earlier."""
    warm: float = 2.0
    flood: float = 0.0
    """Progress callbacks a second for other jobs, during the measurement."""
    answer_after: float = 0.0
    """Seconds that the provider takes to answer a submission."""
    calls_back: bool = True
    provider: str = "samsar"
    """The provider that takes the jobs; the plain app supports only Samsar."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in the measured window, in seconds a second, and memory."""

    cores: float
    """What the service used."""
    kernel_cores: float
    """The part of it that was spent in the kernel, as on `fsync`."""
    load_cores: float
    """Of the load generator and the provider."""
    other_cores: float
    """Of everything else on the machine, including a database server."""
    memory: list[int]
    """Resident bytes of the service, from the window's start to its end."""


@dataclass
class Measured:
    """The result of one load. Latencies are in seconds; infinite if the event never came."""

    load: Load
    outcomes: list[float] = field(repr=False)
    """From sending a callback to the stream's COMPLETED; for callbacks of the window."""
    to_provider: list[float] = field(repr=False)
    """From a POST's answer to the submission's arrival at the provider; for POSTs of the window."""
    answers: list[float] = field(repr=False)
    """From the time a POST was due to its answer; for POSTs of the window."""
    statuses: Counter[int]
    """Of the POSTs of the window; 0 means no answer."""
    carried: float
    """Lives a second that were completed in the window."""
    submitted: float
    """Submissions a second that reached the provider in the window."""
    acknowledged: int
    """Jobs that were accepted, in all."""
    lost: int
    """Accepted jobs that had not ended when the benchmark stopped waiting."""
    usage: Usage
    late: float
    """How late the load generator sent its requests, 99th percentile."""
    report: dict[str, Any]
    """The provider's report."""
    flood: dict[str, Any]
    """The provider's report on the flood."""

    @property
    def cpu_per_life(self) -> float:
        """CPU seconds of the service for each life; infinite if none ended."""
        return self.usage.cores / self.carried if self.carried else math.inf
