"""After a long pause a process takes a message again that it is still sending itself."""

from collections.abc import Coroutine
from typing import Any
from unittest.mock import patch

from receiver.workers.relay import Relay
from tests.simulation.known_bad.plans import paused_as_they_send
from tests.simulation.known_bad.variant import Variant


async def _beside(_self: Relay, _id: str, attempt: Coroutine[Any, Any, None]) -> None:
    await attempt


VARIANT = Variant(
    lambda: patch.object(Relay, "_alone", _beside),
    caught_by=("relays come in their job's order",),
    plan=paused_as_they_send,
    first=1,
)
