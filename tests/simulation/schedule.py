"""Turns a seed into a schedule: a list of plain actions that can be printed, run again and shrunk.

An action names jobs by the label of their submission, so removing one action leaves the others
unchanged. An action whose submission was removed does nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

HOUR = 3600.0

USERS = 2
SINKS = ("sink-a.example", "sink-b.example", "sink-c.example")
EVERY_EVENT = ("IN_PROGRESS", "progress", "COMPLETED", "FAILED", "CANCELLED")

DOWN = (0.05, 1.0, 20.0, 400.0)
"""Seconds until a dead process is started again."""
WHERE = ("step", "before_commit", "after_commit")
COUNTS = (0, 1, 3, 10, 60)
"""Where a process is killed, and how many callbacks or commits come before (`Machine.crash_at`)."""
OUTAGES = ("refused", "silent", "broken", "busy", "key")
SINK_FAULTS = ("refused", "refused", "silent", "broken", "busy", "gone")

SUSPENDING_ACTIONS = {
    "stall",
    "stall_at_relay",
    "stall_at_sending",
    "stop_at_submission",
    "clock_step",
}
"""Actions after which a lease may expire while its holder still works."""
INTERRUPTING_ACTIONS = SUSPENDING_ACTIONS | {"crash", "restart", "dies_at_sync", "power_cut"}
"""Actions after which an answer may not have been heard."""


@dataclass(frozen=True)
class Action:
    """One action at a time, in seconds from the start."""

    at: float
    do: str
    how: Mapping[str, Any]

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.how.items())
        return f"{self.at:8.2f}  {self.do}({arguments})"


@dataclass
class FaultWindows:
    """Periods in which something fails, each with the kind of fault. If several overlap, the one
    that began last counts."""

    windows: list[tuple[float, float, str]] = field(default_factory=list)

    def add(self, begins: float, lasts: float, kind: str) -> None:
        self.windows.append((begins, begins + lasts, kind))

    def at(self, now: float) -> str | None:
        """The kind of fault at a moment; None if there is none."""
        kinds = (kind for begins, ends, kind in reversed(self.windows) if begins <= now < ends)
        return next(kinds, None)

    @property
    def last_end(self) -> float:
        return max((ends for _, ends, _ in self.windows), default=0.0)


@dataclass(frozen=True)
class Schedule:
    """The input of a simulation."""

    seed: int
    machines: int
    confirm: bool
    actions: tuple[Action, ...]
    places: int | None = None
    """The most jobs in flight at the provider; None for no limit."""

    def without(self, first: int, count: int) -> "Schedule":
        """The same schedule without some of its actions."""
        kept = self.actions[:first] + self.actions[first + count :]
        return replace(self, actions=kept)

    def __str__(self) -> str:
        head = f"seed {self.seed}, {self.machines} machine(s), confirm={self.confirm}"
        head += f", {self.places or 'no'} places"
        return "\n".join([head, *map(str, self.actions)])


def schedule_of(
    seed: int,
    actions: Iterable[Action],
    *,
    machines: int = 1,
    confirm: bool = True,
    places: int | None = None,
) -> Schedule:
    """A schedule of these actions, ordered by time."""
    in_order = sorted(actions, key=lambda action: action.at)
    return Schedule(seed, machines, confirm, tuple(in_order), places)


def random_schedule(seed: int) -> Schedule:
    """The schedule that belongs to a seed."""
    random = Random(seed)
    machines = random.choice([1, 1, 1, 2])
    confirm = random.random() < 0.8
    length = random.choice([20.0, 60.0, 300.0])
    submissions = random.choice([1, 3, 6, 10])
    actions = [
        *_traffic(random, submissions, length, confirm),
        *_faults(random, machines, length),
        *_files(Random(f"files {seed}"), submissions, length),
    ]
    schedule = schedule_of(seed, actions, machines=machines, confirm=confirm)
    return _with_places(Random(f"places {seed}"), schedule, length)


def _with_places(random: Random, schedule: Schedule, length: float) -> Schedule:
    """The same, in half of all cases with few places at the provider: some of the jobs are batch
    jobs, and the limit may be changed."""
    places = random.choice([None, None, None, 1, 2, 3])
    if places is None:
        return schedule
    actions = [
        replace(each, how={**each.how, "batch": random.random() < 0.3})
        if each.do == "submit"
        else each
        for each in schedule.actions
    ]
    if random.random() < 0.4:
        at, lower = random.uniform(0, length * 1.3), random.choice([1, 1, 2, 4])
        for machine in range(schedule.machines):
            how = {"machine": machine, "places": lower, "down": random.choice(DOWN)}
            actions.append(Action(round(at, 3), "change_limit", how))
    return schedule_of(
        schedule.seed, actions, machines=schedule.machines, confirm=schedule.confirm, places=places
    )


def _traffic(random: Random, submissions: int, length: float, confirm: bool) -> list[Action]:
    actions, choice = [], random.choice

    def act(at: float, do: str, **how: Any) -> None:
        actions.append(Action(round(at, 3), do, how))

    def soon(at: float, mean: float) -> float:
        return at + random.expovariate(1 / mean)

    for label in range(submissions):
        at, user = random.uniform(0, length), random.randrange(USERS)
        how = {
            "wait": choice([None, None, 3, 30]),
            "route": choice(["jobs", "movie"]),
            "key": random.random() < 0.7,
            "timeout": choice([1.0, 8.0, 70.0]),
            "sink": choice([*SINKS, None]),
            "events": choice([None, EVERY_EVENT, ("COMPLETED", "FAILED"), ()]),
            "fate": random.getrandbits(32),
        }
        act(at, "submit", label=label, user=user, **how)
        if random.random() < 0.2:
            act(soon(at, 20), "cancel", label=label, user=user)
        for _ in range(choice([0, 0, 0, 1, 2])):
            kinds = ["token", "garbage", "id", *(["claim", "claim", "claim"] if confirm else [])]
            status = choice(["COMPLETED", "FAILED", "CANCELLED"])
            act(soon(at, 30), "forge", label=label, kind=choice(kinds), status=status)
        if random.random() < 0.4:
            begins = soon(at, 5)
            lasts, lags = choice([30.0, 1e9]), choice([None, None, (5.0, 4.0), (3.0, 90.0)])
            chance = random.getrandbits(32)
            act(begins, "follow", user=user, label=label, lasts=lasts, lags=lags, chance=chance)
    for user in range(USERS):
        if random.random() < 0.7:
            begins = random.uniform(0, length / 2)
            lasts, lags = choice([40.0, 1e9]), choice([None, None, (10.0, 6.0), (10.0, 100.0)])
            chance = random.getrandbits(32)
            act(begins, "follow", user=user, label=None, lasts=lasts, lags=lags, chance=chance)
    return actions


def _faults(random: Random, machines: int, length: float) -> list[Action]:
    """Faults. Each row: how often one happens, its name, and its random arguments."""
    actions, choice = [], random.choice

    def act(do: str, **how: Any) -> None:
        actions.append(Action(round(random.uniform(0, length * 1.3), 3), do, how))

    rows: list[tuple[Sequence[int], str, dict[str, Sequence[Any]]]] = [
        ((0, 1, 1, 2, 4), "crash", {"machine": range(machines), "where": WHERE, "count": COUNTS,
                                    "down": DOWN}),
        ((0, 0, 1), "restart", {"machine": range(machines), "down": (0.5, 30.0)}),
        ((0, 0, 1, 2), "stall", {"machine": range(machines), "lasts": (3.0, 35.0, 100.0)}),
        ((0, 0, 1, 2), "outage", {"kind": OUTAGES, "lasts": (5.0, 50.0, 50.0, 500.0, 500.0,
                                                             2 * HOUR)}),
        ((0, 0, 1, 2, 3), "sink_trouble", {"sink": SINKS, "kind": SINK_FAULTS,
                                           "lasts": (2.0, 40.0, 40.0, 2_000.0, 74 * HOUR)}),
        ((0, 0, 0, 1), "disk_full", {"lasts": (0.5, 6.0, 40.0)}),
        ((0, 0, 0, 1, 2), "clock_step", {"by": (-600.0, -30.0, -1.0, 1.0, 45.0, 600.0)}),
    ]  # fmt: skip
    for times, do, options in rows:
        for _ in range(choice(times)):
            act(do, **{name: choice(some) for name, some in options.items()})
    if random.random() < 0.15:
        act("rotate_secret", user=random.randrange(USERS))
    if random.random() < 0.25:
        act("answers_lost", lasts=choice([2.0, 10.0, 40.0]))
    if random.random() < 0.1:
        act("stop_at_submission", stalls_after=choice([0.004, 0.02]), lasts=45.0)
    if random.random() < 0.08:
        act("flood", calls=choice([50, 150]))
    return actions


def _files(random: Random, submissions: int, length: float) -> list[Action]:
    """Readers of archived files, and faults of their host, of the disk and of the processes that
    write."""
    actions, choice, randrange = [], random.choice, random.randrange

    def act(do: str, within: float, **how: Any) -> None:
        actions.append(Action(round(random.uniform(0, within), 3), do, how))

    def die(do: str, within: float, syncs: int) -> None:
        power = random.random() < 0.5
        act(do, within, power=power, syncs=randrange(syncs), down=choice(DOWN))

    for _ in range(choice([2, 5, 10])):
        label, number = randrange(submissions), choice([1, 1, 2, 3])
        act("fetch", length * 2, label=label, number=number, start=choice([None, None, 0, 700]))
    for _ in range(choice([0, 0, 1])):
        kind = choice(["refused", "silent", "broken"])
        act("file_outage", length * 1.5, kind=kind, lasts=choice([5.0, 200.0, 1_800.0]))
    for _ in range(choice([0, 0, 1, 2])):
        die("dies_at_sync", length, 6)
    for _ in range(choice([0, 0, 0, 1])):
        act("power_cut", length * 1.5, power=True, syncs=None, down=choice(DOWN))
    if random.random() < 0.4:
        die("dies_at_retention", 0.0, 4)
    return actions
