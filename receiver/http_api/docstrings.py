"""Reads the parts of a handler's docstring that are for users of the API.

The first line is the operation's summary. The section `Responses:` has a line `STATUS: TEXT` for
each response, followed by a line `- HEADER: TEXT` for each of its headers.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

_SECTION: Final = "\n\nResponses:\n"
_BREAK: Final = re.compile(r"\n *+(?!\w{3}: |- )")
"""A line break within one text."""
_STATUS: Final = re.compile(r" *(\w{3}): (.*)")
_HEADER: Final = re.compile(r" *- ([\w-]+): (.*)")


@dataclass(slots=True)
class Response:
    """One response of an operation."""

    status: str
    description: str
    headers: dict[str, str] = field(default_factory=dict)


def summary_of(handler: Callable[..., Any]) -> str:
    """The docstring's first line, without its full stop."""
    return inspect.cleandoc(handler.__doc__ or "").partition("\n")[0].removesuffix(".")


def responses_of(handler: Callable[..., Any]) -> list[Response]:
    """The responses in the docstring's section `Responses:`."""
    section = inspect.cleandoc(handler.__doc__ or "").partition(_SECTION)[2]
    found: list[Response] = []
    for line in _BREAK.sub(" ", section).splitlines():
        if begins := _STATUS.fullmatch(line):
            found.append(Response(begins[1], begins[2]))
        elif header := _HEADER.fullmatch(line):
            found[-1].headers[header[1]] = header[2]
        else:
            raise ValueError(f"neither a response nor a header of one: {line!r}")
    return found
