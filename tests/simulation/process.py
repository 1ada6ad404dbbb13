"""Processes of the service: the loop runs, stalls and kills them."""

from collections.abc import Callable
from contextvars import ContextVar

PROCESS: ContextVar["Process | None"] = ContextVar("process", default=None)
"""The process that the running code belongs to."""


class Process:
    """One process of the service. Whatever it has started dies with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stalled_until = 0.0
        """Loop time until which nothing of it runs, like a suspended machine or a long pause."""
        self.pause: Callable[[], float] = lambda: 0.0
        """How long a hop to a thread takes, in seconds."""
        self.after_thread: Callable[[], None] = lambda: None
        """Called after each step of a thread."""


class Killed(BaseException):
    """The process died in the middle of a callback: nothing after that line runs. The loop ignores
    the exception, since the process is dead."""


def current_process() -> Process | None:
    """The process that the running code belongs to; None in the world."""
    return PROCESS.get()
