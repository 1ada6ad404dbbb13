"""The common base of the test providers that are called directly, without HTTP."""

from collections.abc import Mapping
from typing import Any

from receiver.domain.answers import Report
from receiver.providers.samsar.upstream import read_report
from receiver.upstream.contract import Provider, UpstreamJob


class SamsarDouble(Provider):
    """Reads callbacks as the Samsar provider does. Each double defines its own answers."""

    name = "samsar"
    absent_job = UpstreamJob("0", "create_movie", {})

    def check_kind(self, kind: str) -> str | None:
        return None

    def read(self, body: Mapping[str, Any]) -> Report:
        return read_report(body)

    async def close(self) -> None:
        pass
