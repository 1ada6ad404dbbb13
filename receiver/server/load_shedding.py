"""Sheds load beyond capacity, before any work is done for a request.

A refusal by the application costs a third of a served request, so at three times the capacity there
would be no time left for serving. Here it costs a tenth: the head is parsed, the response is
precomputed, and there is no task.
"""

import asyncio
from collections.abc import Callable
from typing import Final

MOST_STARTED: Final = 500
"""Requests admitted in one event-loop iteration: a tenth of a second of work, and twice what one
batch of the writer answers. Everything that has arrived is read in one iteration and started in the
next, so this limits the loop's queue. Requests under way do not count: most of them may be waiting
for something else."""


class LoadShedder:
    """Decides about each request when its head is complete. For one event loop."""

    def __init__(
        self,
        *,
        exempt_from_shedding: Callable[[bytes], bool],
        cannot_write: Callable[[], bool],
        on_refusal: Callable[[str], object],
    ) -> None:
        """`exempt_from_shedding` says whether a target is never refused, and `cannot_write` whether
        the store would refuse a write. `on_refusal` is called with each refused request's method.
        """
        self._exempt_from_shedding = exempt_from_shedding
        self._cannot_write = cannot_write
        self._on_refusal = on_refusal
        self._taken = 0

    def admits(self, method: str, target: bytes) -> bool:
        """Whether the request is admitted."""
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._next_iteration)
        busy = self._taken >= MOST_STARTED or (method == "POST" and self._cannot_write())
        if busy and not self._exempt_from_shedding(target):
            self._on_refusal(method)
            return False
        self._taken += 1
        return True

    def _next_iteration(self) -> None:
        self._taken = 0
