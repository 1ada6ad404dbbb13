"""One row of the route table."""

from dataclasses import dataclass

from receiver.http_api.operations import Operation
from receiver.http_api.parts import Credential, Endpoint


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: its address, what credential it asks for, what answers."""

    method: str
    path: str
    credential: Credential
    endpoint: Endpoint
    operation: Operation | None = None
    """What the OpenAPI document says of it; None leaves it out, as the pages are."""
