"""Load beyond capacity: who is turned away, before any work is done for them.

A request that is refused by the application has cost a third of one that is served, so at three
times the load refusing would leave no time for serving. Here it costs a tenth: the head is parsed,
the answer is ready-made, and there is no task.
"""

import asyncio
from collections.abc import Callable
from typing import Final

TURN: Final = 500
"""Requests that one turn of the event loop takes: a tenth of a second of work, and twice what a
batch of the writer answers at once. Whatever has arrived is read in one turn and begun in the next,
so this is the loop's queue. It counts what has not begun, and not what is under way: most of that
may be waiting for somebody else."""


class Turnstile:
    """Decides on each request at its head. For one event loop."""

    def __init__(
        self,
        *,
        is_spared: Callable[[bytes], bool],
        cannot_write: Callable[[], bool],
        on_refusal: Callable[[str], object],
    ) -> None:
        """`is_spared`: whether a target is never refused; `cannot_write`: whether the store would
        refuse a write; `on_refusal` is told the method of each request that is turned away."""
        self._is_spared = is_spared
        self._cannot_write = cannot_write
        self._on_refusal = on_refusal
        self._taken = 0

    def admits(self, method: str, target: bytes) -> bool:
        """Whether the request may come in."""
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._next_turn)
        crowded = self._taken >= TURN or (method == "POST" and self._cannot_write())
        if crowded and not self._is_spared(target):
            self._on_refusal(method)
            return False
        self._taken += 1
        return True

    def _next_turn(self) -> None:
        self._taken = 0
