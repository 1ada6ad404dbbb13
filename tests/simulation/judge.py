"""The journal of a simulation, and the first broken promise."""

from tests.simulation.loop import VirtualLoop
from tests.simulation.process import current_process


class Violation(AssertionError):
    """A promise was broken; the text says which one and where."""


class Judge:
    """Keeps the journal and stops the simulation at the first broken promise."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.lines: list[str] = []

    def note(self, what: str, *details: object) -> None:
        """Add a line to the journal."""
        process = current_process()
        who = process.name if process is not None else "world"
        text = " ".join(str(each) for each in details)
        self.lines.append(f"{self._loop.time():12.3f} {who:8} {what:12} {text}")

    def require(self, holds: object, promise: str, *details: object) -> None:
        """Stop the simulation if a promise does not hold."""
        if not holds:
            self.fail(promise, *details)

    def fail(self, promise: str, *details: object) -> None:
        self.note("VIOLATION", promise, *details)
        if self._loop.stopped_by is None:
            text = " ".join(str(each) for each in details)
            self._loop.stopped_by = Violation(f"{promise}: {text}")
