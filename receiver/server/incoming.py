"""How far a client has sent its current request, and the limits on that, which uvicorn lacks."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

HEAD_BYTES: Final = 64 * 1024
"""Largest head that is read, and the most that comes between two parts of a body or after the last
one. (The application has a lower limit of its own for a head.)"""
FRAMING_BYTES: Final = 8 * 1024 * 1024
"""Limit on the total size of a body's chunk sizes, extensions and trailers."""
HEAD_SECONDS: Final = 15.0
"""Time limit for a head, from its first byte; on a new connection, also for that first byte."""
UNREAD_SECONDS: Final = 60.0
"""Time limit for receiving a whole request, from its first byte. The application's own limit for a
body is shorter and answers first, so this one ends bodies that it does not read."""
QUIET_SECONDS: Final = 5.0
"""Time limit between two parts of what is dropped. It is read nevertheless: closing a connection
with unread bytes resets it, and the client would lose the response."""


class Stage(Enum):
    """The part of a request that comes next."""

    NOTHING = auto()
    """Nothing has to come: the client may wait for the response to the last one, or keep the
    connection for later."""
    HEAD = auto()
    """Its head, or the rest of that."""
    BODY = auto()
    """Its body, which the application reads."""
    REST = auto()
    """The rest of its body, which is dropped: it has its response already."""
    OVER = auto()
    """Nothing that matters: the connection has had its last response, and whatever comes is dropped
    until the client closes it too."""


@dataclass(slots=True)
class Incoming:
    """The request that a connection receives. Once it is complete, a new one replaces it.

    NOTHING becomes HEAD, and HEAD becomes BODY. A request that is shed goes from HEAD to REST, and
    one whose response is complete before its body from BODY to REST; or to OVER, if the connection
    closes then.
    """

    stage: Stage = Stage.NOTHING
    began_at: float = 0.0
    """Loop time of its first byte; before that, the time since which it is awaited."""
    framing: int = 0
    """Its bytes so far, without its body's content. A pipelined request's bytes that come together
    with the end of the one before are not counted."""
    framing_before: int = 0
    """`framing` when content of its body last came."""
    rest_at: float = 0.0
    """Loop time at which some of what is dropped last arrived."""

    def await_head(self, now: float) -> None:
        """Wait for the head; its time limit starts now."""
        self.stage, self.began_at = Stage.HEAD, now

    def drop_rest(self, now: float) -> None:
        """Drop what follows of the request, which has its response."""
        self.stage, self.rest_at = Stage.REST, now

    def end(self, now: float) -> None:
        """Drop all that follows: this request, or the one before, has had the last response."""
        self.stage, self.began_at, self.rest_at = Stage.OVER, now, now

    @property
    def has_head(self) -> bool:
        """Whether its head is complete."""
        return self.stage not in (Stage.NOTHING, Stage.HEAD)

    @property
    def is_too_large(self) -> bool:
        """Whether its head, or its body's framing, exceeds the limit."""
        return self.framing > FRAMING_BYTES or self.framing - self.framing_before > HEAD_BYTES

    def is_too_slow(self, now: float) -> bool:
        """Whether it exceeds a time limit."""
        elapsed = now - self.began_at
        match self.stage:
            case Stage.NOTHING:
                return False
            case Stage.HEAD:
                return elapsed > HEAD_SECONDS
            case Stage.BODY:
                return elapsed > UNREAD_SECONDS
            case Stage.REST | Stage.OVER:
                return elapsed > UNREAD_SECONDS or now - self.rest_at > QUIET_SECONDS
