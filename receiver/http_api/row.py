"""One row of the route table."""

from dataclasses import dataclass
from typing import Generic

from starlette.types import ASGIApp

from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import Credential, Handler
from receiver.http_api.operations import Operation


@dataclass(frozen=True, slots=True)
class Row(Generic[Handler]):
    """One route: its path, the credential that it requires, and the handler behind that."""

    method: str
    path: str
    credential: Credential[Handler]
    handler: Handler
    operation: Operation | None = None
    """Its description in the OpenAPI document; None leaves it out."""

    def endpoint(self, context: ApiContext) -> ASGIApp:
        """The handler, behind the check of the credential."""
        return self.credential.bind(context, self.handler)
