"""What is answered under any load: what machines restart by, and what browsers ask for once."""

from typing import Final

REFUSED: Final = "refused"
"""The route under which requests are counted that were turned away before they had one."""

_PROBES: Final = frozenset({b"/livez", b"/readyz", b"/metrics"})


def is_spared(target: bytes) -> bool:
    """Whether a request of this path and query is never turned away: a probe that fails restarts
    the service, and an EventSource gives up for good at a 503."""
    path = target.partition(b"?")[0]
    return path in _PROBES or path.endswith(b"/events")
