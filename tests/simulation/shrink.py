"""Reduces a schedule that fails to a smaller one that fails in the same way."""

from collections.abc import Callable

from tests.simulation.schedule import Schedule
from tests.simulation.simulate import Result

MAX_RUNS = 150


def shrunk(failed: Result, run: Callable[[Schedule], Result]) -> Result:
    """Remove actions, many at first and then one by one, as long as the same promise breaks."""
    promise = promise_of(failed)
    best, runs = failed, 0
    size = max(1, len(best.schedule.actions) // 2)
    while size:
        first = 0
        while first < len(best.schedule.actions) and runs < MAX_RUNS:
            runs += 1
            result = run(best.schedule.without(first, size))
            if result.failure is not None and promise_of(result) == promise:
                best = result
            else:
                first += size
        size //= 2
    return best


def promise_of(result: Result) -> str:
    """The broken promise, without details."""
    return str(result.failure).partition(":")[0]


def report(failed: Result, small: Result) -> str:
    """What a person needs to see the fault: the seed, the shrunk schedule, the last events."""
    return "\n".join(
        [
            f"seed {failed.schedule.seed} breaks a promise: {failed.failure}",
            f"{len(small.schedule.actions)} of its {len(failed.schedule.actions)} actions suffice:",
            str(small.schedule),
            f"and end with: {small.failure}",
            "the last events:",
            *small.journal[-60:],
        ]
    )
