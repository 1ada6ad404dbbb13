"""Whether a callback could be stored now, checked at most once a second."""

import asyncio
from typing import Final

from receiver.clock import Clock
from store.database import Store
from store.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreLocked

REUSE_SECONDS: Final = 1.0
"""How long a result is reused. A check is a write, and anybody can request one."""

ANSWER_SECONDS: Final = 1.5
"""How long a request waits for the check. A disk or a server that hangs can block the check for
longer than a load balancer waits for an answer."""

_UNAVAILABLE: Final = "unavailable"
_CODES: Final[dict[type[StoreError], str]] = {
    StoreBusy: "busy",
    StoreLocked: "locked",
    StoreFull: "full",
    StoreCorrupt: "corrupt",
}


class Readiness:
    """Shares one check between all callers while it runs and for a second after."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._check: asyncio.Task[str | None] | None = None
        self._last: str | None = None
        """The result of the last completed check."""
        self._reuse_until = 0.0

    async def error_code(self) -> str | None:
        """Why nothing can be stored, in one word; None if all is well. If the check takes longer
        than `ANSWER_SECONDS`, the last error, or "unavailable"."""
        check = self._check
        if check is None or (check.done() and self._clock.monotonic() >= self._reuse_until):
            check = self._check = asyncio.create_task(self._ask())
        # Neither a client's disconnect nor the timeout cancels the shared check.
        ended, _ = await asyncio.wait({check}, timeout=ANSWER_SECONDS)
        return check.result() if ended else self._last or _UNAVAILABLE

    async def _ask(self) -> str | None:
        try:
            await self._store.check_writable()
            self._last = None
        except StoreError as error:
            self._last = _CODES.get(type(error), _UNAVAILABLE)
        finally:
            self._reuse_until = self._clock.monotonic() + REUSE_SECONDS
        return self._last
