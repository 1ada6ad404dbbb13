"""Starts requests a few at a time, and sheds load beyond capacity before any work is done for it.

Everything that has arrived is read in one event-loop iteration. If it were also started in one, a
rush of requests would make iterations long, and a step that needs several of them, such as a call
to the provider, would take several times as long. So the rest waits here.

A refusal by the application costs a third of a served request, so at three times the capacity there
would be no time left for serving. Here it costs a tenth: the head is parsed, the response is
precomputed, and there is no task.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

STARTED_AT_ONCE: Final = 16
"""Requests started in one event-loop iteration: some milliseconds of work."""
MAX_WAITING: Final = 1_000
"""Maximum number of requests that wait for their start, a quarter of a second of work; further ones
are refused. Requests under way do not count: most of them may be waiting for something else."""


class LoadShedder:
    """Admits or refuses each request when its head is complete, and paces their starts. For one
    event loop."""

    def __init__(
        self,
        *,
        exempt_from_shedding: Callable[[bytes], bool],
        cannot_write: Callable[[], bool],
        on_refusal: Callable[[str, bytes], object],
    ) -> None:
        """`exempt_from_shedding` says whether a target is never refused, and `cannot_write` whether
        the store would refuse a write. `on_refusal` is called with the method and the target of
        each refused request.
        """
        self._exempt_from_shedding = exempt_from_shedding
        self._cannot_write = cannot_write
        self._on_refusal = on_refusal
        self._admitted = 0
        """Requests admitted in this iteration. In the next one they start, or join those that
        wait."""
        self._started = 0
        """Requests started in this iteration, or released in it."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False

    def admit(self, method: str, target: bytes) -> bool:
        busy = self._admitted + len(self._waiting) >= MAX_WAITING or (
            method == "POST" and self._cannot_write()
        )
        if busy and not self._exempt_from_shedding(target):
            self._on_refusal(method, target)
            return False
        self._admitted += 1
        self._schedule()
        return True

    def paced(self, app: ASGIApp) -> ASGIApp:
        """`app`, whose requests start in order of arrival, `STARTED_AT_ONCE` in an iteration.

        If 40 arrive in iteration 1, their tasks run in iteration 2: 16 start and 24 wait. In
        iteration 3 `_next_iteration` releases 16 of these, and in 4 the last 8; a released one
        starts in the iteration after. In between, the loop serves its sockets and timers.
        """

        async def start_paced(scope: Any, receive: Any, send: Any) -> None:
            if self._started >= STARTED_AT_ONCE or self._waiting:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                await turn
            else:
                self._started += 1
            self._schedule()
            await app(scope, receive, send)

        return start_paced

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_iteration)

    def _next_iteration(self) -> None:
        self._is_scheduled = False
        self._admitted = self._started = 0
        while self._waiting and self._started < STARTED_AT_ONCE:
            turn = self._waiting.popleft()
            if not turn.done():  # it is done if cancelled at shutdown
                turn.set_result(None)
                self._started += 1
        if self._started:
            self._schedule()
