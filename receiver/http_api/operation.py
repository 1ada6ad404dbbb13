"""Describes a handler for the OpenAPI document, beside its docstring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar

from receiver.json_schema import Schema

Handler = TypeVar("Handler", bound=Callable[..., Any])
Texts: TypeAlias = Mapping[int | str, str]
"""Texts of responses by status; `4XX` for statuses that the provider chooses."""


class Group(Enum):
    """A group of operations; the value is its description."""

    PROVIDER_API = "The provider's own API: a client changes its base URL and its key."
    JOBS = "Submit jobs, list them, and see everything that happened to them."
    STREAMS = "Server-Sent Events: every event of a job, once and in order."
    WEBHOOKS = "The webhooks that the service sends to you."
    CALLBACKS = "The address that the provider calls."
    PROBES = "For operators, load balancers and Prometheus."


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    location: str = "query"
    """`query` or `header`."""
    required: bool = False
    problems: Texts = field(default_factory=dict)
    """The error responses that it may cause, by status."""


@dataclass(frozen=True, slots=True)
class Text:
    """A response that is not JSON."""

    media_type: str
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Decorates a handler whose route is in the OpenAPI document.

    The handler's docstring has the summary and the responses. The error responses for a bad path,
    body, credential or parameter are added to them.
    """

    group: Group
    responds: Any
    """The type of a successful response's document, or a `Text`; None if it has no body."""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    """The type of the request's body; None if it has none."""
    body_required: bool = True

    def __call__(self, handler: Handler) -> Handler:
        _OPERATIONS[handler] = self
        return handler


_OPERATIONS: Final[dict[Callable[..., Any], Operation]] = {}


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """The operation of a handler; None leaves its route out of the OpenAPI document."""
    return _OPERATIONS.get(handler)
