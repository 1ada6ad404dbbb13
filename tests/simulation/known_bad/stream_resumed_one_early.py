"""A resumed stream begins with the event that the client has seen."""

from typing import Any
from unittest.mock import patch

from receiver.streams.reader import Reader
from tests.simulation.known_bad.variant import Variant

_make = Reader.__init__


def _one_early(self: Reader, *given: Any, **named: Any) -> None:
    _make(self, *given, **named)
    self.position = max(0, self.position - 1)


VARIANT = Variant(
    lambda: patch.object(Reader, "__init__", _one_early),
    caught_by=("a stream is a prefix of the truth",),
)
