"""What a provider is to us. Another one is one file with this shape and a line in `registry`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from receiver.domain.observations import Report, StatusAnswer, SubmitAnswer


@dataclass(frozen=True, slots=True)
class InputFault:
    """One thing that is wrong with a job's `input`, in the provider's words where it has them."""

    pointer: str
    """JSON pointer from the body's root, such as `/input/prompt`."""
    detail: str


class Provider(Protocol):
    """One upstream API.

    `submit` and `status` never raise for what the network or the provider does: that is an answer.
    They may raise `asyncio.CancelledError` only.
    """

    name: str
    """The word in addresses and settings."""

    def check(self, kind: str, body_input: Mapping[str, Any]) -> list[InputFault]:
        """What the provider would refuse, in the order of its checks; empty when all is well."""
        ...

    async def submit(
        self, kind: str, body_input: Mapping[str, Any], callback_url: str
    ) -> SubmitAnswer:
        """Send one submission, once, with `callback_url` as its webhook."""
        ...

    async def status(self, provider_request_id: str) -> StatusAnswer:
        """Ask how a job stands."""
        ...

    def read(self, body: Mapping[str, Any]) -> Report:
        """Read a callback's body, or a status answer's, leniently. Pure."""
        ...

    def read_id(self, body: Mapping[str, Any]) -> str | None:
        """The provider_request_id that a callback's body names, as `read` reads it. Pure."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...
