"""Describes handlers for the OpenAPI document, with their docstrings."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar

from receiver.json_schema import Schema

Handler = TypeVar("Handler", bound=Callable[..., Any])
ResponseTexts: TypeAlias = Mapping[int | str, str]
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
    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    location: str = "query"
    """`query`, `header` or `path`."""
    required: bool = False
    problems: ResponseTexts = field(default_factory=dict)
    """The error responses that it may cause, by status."""


@dataclass(frozen=True, slots=True)
class TextResponse:
    """A response that is not JSON."""

    media_type: str
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Decorates a handler whose route is in the OpenAPI document.

    The handler's docstring has the summary in its first line, and in its section `Responses:` a
    line `STATUS: TEXT` for each response, followed by a line `- HEADER: TEXT` for each of its
    headers. The error responses for a bad path, body, credential or parameter, and those that every
    route may give, are added to them.
    """

    group: Group
    responds: Any
    """The type of a successful response's document, or a `TextResponse`; None if it has no body."""
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


def summary_of(handler: Callable[..., Any]) -> str:
    """The summary in the docstring, without its full stop."""
    return inspect.cleandoc(handler.__doc__ or "").partition("\n")[0].removesuffix(".")


def responses_of(handler: Callable[..., Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Status, text and headers of each response in the docstring. Raises ValueError if its section
    has another form."""
    section = inspect.cleandoc(handler.__doc__ or "").partition("\n\nResponses:\n")[2]
    for response in re.split(r"\n {4}(?=\w)", section):
        (status, text), *headers = (
            " ".join(part.split()).split(": ", 1) for part in re.split(r"\n +- ", response)
        )
        yield status, text, dict(headers)
