"""A relay message counts as delivered when its attempt begins: a crash then loses it."""

from typing import Any
from unittest.mock import patch

from receiver.workers.relay import Relay
from store.records import Attempt, DeliveryState
from tests.simulation.known_bad.variant import Variant

_send = Relay._send


async def _settle_first(self: Relay, delivery: Any, *given: Any) -> Any:
    attempt = Attempt(self._services.clock.now(), 200, None, 0, None)
    await self._services.store.deliveries.settle(
        delivery.id,
        self._services.holder,
        attempt,
        DeliveryState.DELIVERED,
        None,
        host_off=False,
    )
    return await _send(self, delivery, *given)


VARIANT = Variant(
    lambda: patch.object(Relay, "_send", _settle_first),
    caught_by=("what is called delivered has arrived", "one attempt at a time for a job"),
    first=7,
)
