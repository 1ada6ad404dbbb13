"""Schedules for variants of the archive."""

from collections.abc import Callable

from tests.simulation.file_fate import DAY
from tests.simulation.known_bad.plans import is_quick, submissions
from tests.simulation.provider import Fate
from tests.simulation.schedule import Action, Schedule, schedule_of


def _files(seed: int, wanted: Callable[[Fate], bool], *faults: Action, jobs: int = 4) -> Schedule:
    """Jobs with files, chosen by the files' fates."""
    actions = submissions(
        (1.0 + label / 2 for label in range(jobs)),
        lambda fate: fate.outcome == "COMPLETED" and wanted(fate),
    )
    return schedule_of(seed, [*actions, *faults])


def _is_had_at_once(fate: Fate) -> bool:
    file = fate.files[0]
    good = not (file.faults or file.permanent_fault) and file.size > 0 and file.link_life > DAY
    return is_quick(fate) and good


def _death(at: float, syncs: int, *, power: bool, do: str = "dies_at_sync") -> Action:
    return Action(at, do, {"power": power, "syncs": syncs, "down": 1.0})


def power_cut_while_it_stores(seed: int) -> Schedule:
    """The power fails at a sync of a file or a folder, and again soon after."""
    deaths = (_death(1.0 + 6 * n, (seed + n) % 5, power=True) for n in range(4))
    return _files(seed, _is_had_at_once, *deaths)


def killed_while_it_stores(seed: int) -> Schedule:
    """The process is killed at a sync of a file or a folder, and again soon after."""
    deaths = (_death(1.0 + 6 * n, (seed + n) % 5, power=False) for n in range(4))
    return _files(seed, _is_had_at_once, *deaths)


def killed_at_retention(seed: int) -> Schedule:
    """The process is killed while it removes files."""
    return _files(seed, _is_had_at_once, _death(0.5, seed % 3, power=False, do="dies_at_retention"))


def power_cut_at_retention(seed: int) -> Schedule:
    """The power fails while everything is removed."""
    cut = {"power": True, "syncs": None, "down": 1.0, "after": 30.0 * (seed % 6)}
    return _files(seed, _is_had_at_once, Action(0.5, "dies_at_retention", cut))
