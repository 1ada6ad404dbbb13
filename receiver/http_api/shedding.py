"""Which requests are exempt from load shedding."""

import re
from typing import Final

REFUSED: Final = "refused"
"""The route label in the metrics for requests that were shed before routing."""

_TARGET: Final = re.compile(
    rb"/(?:livez|readyz|metrics|v1/events|v1/jobs/[^/?]+/events)(?:\?.*)?", re.DOTALL
)
"""Exactly the probes, the metrics and the two streams."""


def exempt_from_shedding(target: bytes) -> bool:
    """Whether a request with this path and query is never shed: a failing probe restarts the
    service, and an EventSource does not reconnect after a 503."""
    return _TARGET.fullmatch(target) is not None
