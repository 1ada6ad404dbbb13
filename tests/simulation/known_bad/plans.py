"""Schedules of their own, for variants that chance would take long to find."""

from collections.abc import Callable, Iterator
from itertools import count, pairwise
from random import Random
from typing import Any

from tests.simulation.provider import Fate, fate
from tests.simulation.schedule import EVERY_EVENT, SINKS, Action, Schedule


def submission(label: int, fated: int) -> dict[str, Any]:
    """A submission whose final state is told to the first sink."""
    return {
        "label": label,
        "user": 0,
        "route": "jobs",
        "key": True,
        "wait": None,
        "patience": 70.0,
        "sink": SINKS[0],
        "events": ("COMPLETED", "FAILED", "CANCELLED"),
        "fate": fated,
    }


def fates(wanted: Callable[[Fate], bool]) -> Iterator[int]:
    """The seeds of fates that are wanted, one after the other."""
    return (seed for seed in count() if wanted(fate(seed)))


def is_quick(fated: Fate) -> bool:
    """Taken at once, and over in seconds, without a hitch."""
    return (
        fated.submission == "accept"
        and fated.renders == 2.0
        and fated.latency < 1
        and not fated.link_after
        and not fated.missing_for
    )


def stalled_while_it_sends(seed: int) -> Schedule:
    """The sink is silent for a while, and one of two processes stalls in the middle of it."""
    return Schedule(
        seed,
        machines=2,
        confirm=False,
        actions=(
            Action(0.5, "sink_trouble", {"sink": SINKS[0], "kind": "silent", "lasts": 43.0}),
            Action(1.0, "submit", submission(0, next(fates(is_quick)))),
            Action(35.0 + seed % 7, "stall", {"machine": 0, "lasts": 60.0}),
        ),
    )


def two_processes_and_a_slow_sink(seed: int) -> Schedule:
    """An attempt that takes as long as it may, while another process looks for work."""
    silent = {"sink": SINKS[0], "kind": "silent", "lasts": 90.0}
    actions = (
        Action(0.5, "sink_trouble", silent),
        Action(1.0, "submit", submission(0, next(fates(is_quick)))),
    )
    return Schedule(seed, 2, False, actions)


def stalled_while_it_applies(seed: int) -> Schedule:
    """Many callbacks, and two processes that stall now and then in the middle of applying them."""
    random = Random(seed)
    found = fates(lambda fated: is_quick(fated) and len(fated.updates) >= 3)
    actions = [
        Action(random.uniform(1.0, 4.0), "submit", submission(label, next(found)))
        for label in range(10)
    ]
    actions += [
        Action(random.uniform(1.5, 7.0), "stall", {"machine": number % 2, "lasts": 9.0})
        for number in range(2)
    ]
    return Schedule(seed, 2, False, tuple(sorted(actions, key=lambda action: action.at)))


def forged_while_it_renders(seed: int) -> Schedule:
    """Jobs that take a while, and claims of another end in the meantime."""
    found = fates(
        lambda fated: (
            fated.submission == "accept" and fated.renders == 60.0 and fated.outcome == "COMPLETED"
        )
    )
    actions = []
    for label in range(3):
        forged = {"label": label, "kind": "claim", "status": "FAILED"}
        actions += [
            Action(1.0 + label, "submit", submission(label, next(found))),
            Action(15.0 + label, "forge", forged),
        ]
    return Schedule(seed, 1, True, tuple(sorted(actions, key=lambda action: action.at)))


def cancelled_while_it_waits(seed: int) -> Schedule:
    """The provider puts submissions off, and the users change their mind."""
    found = fates(is_quick)
    actions = [Action(0.5, "outage", {"kind": "busy", "lasts": 200.0})]
    for label in range(8):
        at = 1.0 + label / 4
        canceled = {"label": label, "user": 0}
        actions += [
            Action(at, "submit", submission(label, next(found))),
            Action(at + 2.0 + (seed + label) % 40, "cancel", canceled),
        ]
    return Schedule(seed, 1, True, tuple(sorted(actions, key=lambda action: action.at)))


def progress_that_falls(seed: int) -> Schedule:
    """A job whose callbacks tell of less and less."""

    def falls(fated: Fate) -> bool:
        told = [
            said.get("progress")
            for (_, said), (lost, *_) in zip(fated.updates, fated.callbacks, strict=False)
            if not lost
        ]
        numbers = [float(each) for each in told if isinstance(each, int | float) and each >= 0]
        slow = fated.submission == "accept" and fated.renders >= 60
        return slow and any(b < a for a, b in pairwise(numbers))

    actions = (Action(1.0, "submit", submission(0, next(fates(falls)))),)
    return Schedule(seed, 1, True, actions)


def put_off_while_the_disk_is_full(seed: int) -> Schedule:
    """Submissions are put off with a Retry-After, and nothing can be written for a while."""
    found = fates(
        lambda fated: fated.submission == "busy" and fated.latency == 8.0 and fated.renders < 60
    )
    actions = [Action(1.0 + label, "submit", submission(label, next(found))) for label in range(5)]
    actions.append(Action(7.0 + seed % 3, "disk_full", {"lasts": 6.0}))
    return Schedule(seed, 1, True, tuple(actions))


def unknown_for_a_while(seed: int) -> Schedule:
    """Status calls answer 404 for some minutes."""
    found = fates(
        lambda fated: (
            fated.submission == "accept" and fated.missing_for == 300.0 and fated.renders > 60
        )
    )
    return Schedule(seed, 1, True, (Action(1.0, "submit", submission(0, next(found))),))


def forged_in_an_outage(seed: int) -> Schedule:
    """A job that was just seen at work; then nobody answers, and somebody claims that it failed."""
    found = fates(
        lambda fated: (
            fated.submission == "accept"
            and fated.renders == 180.0
            and not (fated.updates or fated.missing_for)
        )
    )
    forged = {"label": 0, "kind": "claim", "status": "FAILED"}
    actions = (
        Action(1.0, "submit", submission(0, next(found))),
        Action(41.0, "outage", {"kind": "broken", "lasts": 100.0}),
        Action(44.0, "forge", forged),
    )
    return Schedule(seed, 1, True, actions)


def _much_to_relay(random: Random) -> list[Action]:
    found = fates(
        lambda fated: (
            fated.submission == "accept"
            and fated.renders in (20.0, 60.0)
            and len(fated.updates) >= 3
            and not (fated.missing_for or fated.link_after)
        )
    )
    return [
        Action(
            random.uniform(1.0, 10.0),
            "submit",
            {**submission(label, next(found)), "events": EVERY_EVENT},
        )
        for label in range(12)
    ]


def paused_while_they_send(seed: int) -> Schedule:
    """Many updates to relay, and two processes that stand still for longer than a lease."""
    random = Random(seed)
    actions = _much_to_relay(random)
    actions += [
        Action(random.uniform(5.0, 60.0), "stall", {"machine": number, "lasts": 45.0})
        for number in range(2)
    ]
    return Schedule(seed, 2, False, tuple(sorted(actions, key=lambda action: action.at)))


def paused_between_lease_and_sending(seed: int) -> Schedule:
    """Whoever has just leased a message stands still for longer than the lease."""
    random = Random(seed)
    actions = _much_to_relay(random)
    actions.append(Action(random.uniform(11.0, 40.0), "stall_at_relay", {"lasts": 45.0}))
    return Schedule(seed, 2, False, tuple(sorted(actions, key=lambda action: action.at)))


def stopped_with_a_full_disk(seed: int) -> Schedule:
    """SIGTERM while submissions are under way and nothing can be written."""
    random = Random(seed)
    found = fates(
        lambda fated: fated.submission in ("accept_slowly", "busy", "lose_answer", "accept")
    )
    actions = [
        Action(random.uniform(1.0, 10.0), "submit", submission(label, next(found)))
        for label in range(6)
    ]
    lasts = random.choice([1.0, 5.0, 20.0])
    actions += [
        Action(random.uniform(2.0, 15.0), "restart", {"machine": 0, "down": 2.0}),
        Action(random.uniform(2.0, 14.0), "disk_full", {"lasts": lasts}),
    ]
    return Schedule(seed, 1, False, tuple(sorted(actions, key=lambda action: action.at)))
