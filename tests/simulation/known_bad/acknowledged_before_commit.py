"""A callback is answered `accepted` while its row is still to be written."""

import asyncio
from typing import Any
from unittest.mock import patch

from store.callbacks import Callbacks, Receipt
from tests.simulation.known_bad.variant import Variant

_receive = Callbacks.receive
_begun: list[asyncio.Future[Receipt]] = []


async def _answer_first(self: Callbacks, *given: Any, **named: Any) -> Receipt:
    _begun.append(asyncio.ensure_future(_receive(self, *given, **named)))
    return Receipt.ACCEPTED


VARIANT = Variant(
    lambda: patch.object(Callbacks, "receive", _answer_first),
    caught_by=("an acknowledged callback is on disk", "a forgery is answered"),
)
