"""What is offered to a service in `lives`, and what it made of it."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Load:
    """What is offered."""

    rate: float
    """Jobs a second."""
    seconds: float
    """What is measured; the load begins `warm` seconds before."""
    warm: float = 2.0
    flood: float = 0.0
    """Progress callbacks a second, of other jobs, while it is measured."""
    answer_after: float = 0.0
    """Seconds that the provider takes to answer a submission."""
    calls_back: bool = True
    provider: str = "samsar"
    """Who takes the jobs; the plain app knows Samsar alone."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the CPU did in the window, in seconds a second, and what memory was used."""

    cores: float
    """What the service used."""
    kernel_cores: float
    """What of it was spent in the kernel, as on `fsync`."""
    load_cores: float
    """Likewise the load and the provider."""
    other_cores: float
    """Likewise everything else on the machine, a database server included."""
    memory: list[int]
    """Bytes of the service that were resident, from the window's begin to its end."""


@dataclass
class Measured:
    """What a load gave. Latencies are in seconds; what never came is infinite."""

    load: Load
    outcomes: list[float] = field(repr=False)
    """From sending a callback to its COMPLETED on the stream; callbacks of the window."""
    to_provider: list[float] = field(repr=False)
    """From a POST's answer to the submission's arrival at the provider; POSTs of the window."""
    answers: list[float] = field(repr=False)
    """From the moment that a POST was due to its answer; POSTs of the window."""
    statuses: Counter[int]
    """Of the POSTs of the window; 0 is no answer."""
    carried: float
    """Lives a second that ended in the window."""
    submitted: float
    """Submissions a second that reached the provider in the window."""
    acknowledged: int
    """Jobs that were taken, in all."""
    lost: int
    """Of these: how many had not ended after all the waiting."""
    usage: Usage
    late: float
    """How late the load came to sending its requests, 99th percentile."""
    report: dict[str, Any]
    """The provider's."""
    flood: dict[str, Any]
    """The provider's word on the flood."""
    applied_after: float
    """Seconds from sending the flood's last callback until all were applied."""

    @property
    def cpu_a_life(self) -> float:
        """Seconds; infinite where none ended."""
        return self.usage.cores / self.carried if self.carried else math.inf
