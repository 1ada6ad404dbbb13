"""A process that stood still sends what it had leased, although the lease has ended meanwhile."""

from typing import Any
from unittest.mock import patch

from receiver.workers.relay import Relay
from tests.simulation.known_bad.plans import paused_between_lease_and_sending
from tests.simulation.known_bad.variant import Variant

_send = Relay._send


async def _whenever(self: Relay, delivery: Any, began: int, _begin_by: int) -> Any:
    return await _send(self, delivery, began, 2**62)


VARIANT = Variant(
    lambda: patch.object(Relay, "_send", _whenever),
    caught_by=("relays come in their job's order",),
    plan=paused_between_lease_and_sending,
    seeds=200,
    first=3,
)
