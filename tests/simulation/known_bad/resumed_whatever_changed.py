"""A download goes on with a range of whatever is behind the link by now."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from receiver.archive.download import Download
from tests.simulation.known_bad.plans import cut_and_changed
from tests.simulation.known_bad.variant import Variant

_get = Download._get


async def _without_condition(self: Download, headers: Sequence[tuple[str, str]]) -> Any:
    return await _get(self, [pair for pair in headers if pair[0] != "If-Range"])


VARIANT = Variant(
    lambda: patch.object(Download, "_get", _without_condition),
    caught_by=("stored means whole",),
    plan=cut_and_changed,
)
