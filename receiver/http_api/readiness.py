"""Whether a callback could be stored now, checked at most once a second."""

import asyncio
from typing import Final

from receiver.clock import Clock
from store.database import Store
from store.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreLocked

SECONDS: Final = 1.0
"""How long a result is reused. A check is a write, and anybody can request one."""

_WORDS: Final[dict[type[StoreError], str]] = {
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
        self._good_until = 0.0

    async def trouble(self) -> str | None:
        """Why nothing can be stored, in one word; None if all is well."""
        check = self._check
        if check is None or (check.done() and self._clock.monotonic() >= self._good_until):
            check = self._check = asyncio.create_task(self._ask())
        # A client that disconnects must not cancel the shared check.
        return await asyncio.shield(check)

    async def _ask(self) -> str | None:
        try:
            await self._store.check_writable()
        except StoreError as error:
            return _WORDS.get(type(error), "unavailable")
        finally:
            self._good_until = self._clock.monotonic() + SECONDS
        return None
