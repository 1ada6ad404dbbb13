"""A known-bad variant: one small change of the real code, and the promise that it breaks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

from store.sql import Statements
from tests.simulation.schedule import Schedule, random_schedule

Patch = AbstractContextManager[Any]
Plan = Callable[[int], Schedule]


@dataclass(frozen=True)
class Variant:
    """A wrong way to build the service."""

    applied: Callable[[], Patch]
    """Patches the service within a `with`; its docstring says what is wrong."""
    caught_by: tuple[str, ...]
    """The promises, in the simulation's words; one of them has to break."""
    plan: Plan
    """Makes a schedule from a seed."""
    seeds: int
    """The simulation has to find the fault within this many seeds."""
    first: int
    """The seed that is tried first, because it finds the fault quickly. The others follow."""


def variant(
    *caught_by: str, plan: Plan = random_schedule, seeds: int = 40, first: int = 0
) -> Callable[[Callable[[], Patch]], Variant]:
    """Make a variant from a function that returns its patch. A plan of its own leads to the fault
    if random schedules would take too long."""
    return lambda applied: Variant(applied, caught_by, plan, seeds, first)


def instead_of(owner: object, name: str) -> Callable[[Callable[..., Any]], Callable[[], Patch]]:
    """Make a patch from a function that runs instead of this one of the service. Its first argument
    is the one that it replaces."""
    right = getattr(owner, name)

    def as_patch(wrong: Callable[..., Any]) -> Callable[[], Patch]:
        def replacement(*given: Any, **named: Any) -> Any:
            return wrong(right, *given, **named)

        return wraps(wrong)(lambda: patch.object(owner, name, replacement))

    return as_patch


@contextmanager
def with_sql(subject: str, name: str, old: str, new: str) -> Iterator[None]:
    """Replace a part of one of the store's SQL statements."""
    load = Statements.load

    def changed(self: Statements, asked: str) -> Mapping[str, str]:
        statements = dict(load(self, asked))
        if asked == subject:
            if old not in statements[name]:
                raise ValueError(f"{name} does not say {old!r}")
            statements[name] = statements[name].replace(old, new)
        return statements

    with patch.object(Statements, "load", changed):
        yield


def together(*patches: Patch) -> Patch:
    """Combine several patches into one."""
    stack = ExitStack()
    for each in patches:
        stack.enter_context(each)
    return stack
