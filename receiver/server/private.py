"""What we use of uvicorn beyond its documents, and whether the installed version has it."""

from collections.abc import Iterator
from dis import get_instructions
from functools import cache
from importlib import import_module
from inspect import isfunction
from typing import Any, Final

USED: Final = {
    "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol": "_should_upgrade connections cycle"
    " headers parser pipeline scope send_400_response shutdown transport url",
    "uvicorn.protocols.http.httptools_impl:RequestResponseCycle": "more_body response_complete"
    " response_started",
    "uvicorn.server:ServerState": "connections default_headers tasks",
}
"""Attributes by class."""


@cache
def missing() -> tuple[str, ...]:
    """The full names of what is used, and not there."""
    return tuple(
        f"{kind}.{name}"
        for kind, names in USED.items()
        for name in {*names.split()}.difference(attributes(kind))
    )


def attributes(kind: str) -> Iterator[str]:
    """What a class defines, and the attributes that its methods set; none without the class."""
    module, _, name = kind.partition(":")
    try:
        found: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return
    yield from vars(found)
    for method in filter(isfunction, vars(found).values()):
        yield from (each.argval for each in get_instructions(method) if each.opname == "STORE_ATTR")
