"""The processes of the service, which the loop runs, stalls and kills."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

PROCESS: ContextVar["Process | None"] = ContextVar("process", default=None)
"""Whose the running code is."""


class Process:
    """One process of the service: what it has begun dies with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stalled_until = 0.0
        """Loop time until which nothing of it runs: a suspended machine, a long pause."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.pause: Callable[[], float] = lambda: 0.0
        """How long a hop to a thread takes, in seconds."""
        self.after_thread: Callable[[], None] = lambda: None
        """Called when a thread has done something."""


class Killed(BaseException):
    """The process died in the middle of a callback: nothing after that line of it runs. The loop
    lets it pass, since its process is dead."""


def current_process() -> Process | None:
    """The process that the running code belongs to; None in the world."""
    return PROCESS.get()
