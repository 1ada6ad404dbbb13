"""Whether a callback could be stored now, checked at most once a second."""

import asyncio
from typing import Final

from receiver.clock import Clock
from store.database import Store
from store.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreLocked

REUSE_SECONDS: Final = 1.0
"""How long a result is reused. A check is a write, and anybody can request one."""

ANSWER_SECONDS: Final = 1.5
"""How long to wait for the check. A disk or a server that hangs can block it for longer than a load
balancer waits for an answer."""

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
        self._checking = asyncio.Lock()
        self._code: str | None = None
        """The result of the last check."""
        self._reuse_until = 0.0

    async def error_code(self) -> str | None:
        """Why nothing can be stored, in one word; None if all is well."""
        async with self._checking:
            if self._clock.monotonic() >= self._reuse_until:
                self._code = await self._check()
                self._reuse_until = self._clock.monotonic() + REUSE_SECONDS
        return self._code

    async def _check(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._store.check_writable()
        except TimeoutError:
            return "unavailable"
        except StoreError as error:
            return _CODES.get(type(error), "unavailable")
        return None
