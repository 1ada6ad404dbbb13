"""Logs when calls to others begin to fail, and when they succeed again."""

from collections import OrderedDict
from typing import Final

import structlog

from receiver.clock import Clock

MAX_FAILING: Final = 10_000
"""How many that fail are remembered; then the one that began first is forgotten."""

log = structlog.get_logger()


class FailureLog:
    """One kind of calls, by whom they go to: one line when they begin to fail, one when they
    succeed again, however many fail in between."""

    def __init__(self, clock: Clock, calls: str, to: str) -> None:
        """`calls` are they in words, `to` is the member of the log's line that names whom they go
        to."""
        self._clock = clock
        self._calls = calls
        self._to = to
        self._since: OrderedDict[str, float] = OrderedDict()

    def failed(self, name: str, reason: str) -> None:
        if name in self._since:
            return
        self._since[name] = self._clock.monotonic()
        if len(self._since) > MAX_FAILING:
            self._since.popitem(last=False)
        log.warning("calls begin to fail", calls=self._calls, **{self._to: name}, reason=reason)

    def succeeded(self, name: str) -> None:
        since = self._since.pop(name, None)
        if since is not None:
            seconds = round(self._clock.monotonic() - since, 1)
            log.info("calls succeed again", calls=self._calls, **{self._to: name}, after=seconds)
