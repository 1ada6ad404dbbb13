"""Schedules of their own, for variants that chance would take long to find."""

from collections.abc import Callable, Iterator
from itertools import count, pairwise
from random import Random
from typing import Any

from tests.simulation.file_fate import DAY
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
    """The provider is slow, more wait than it is asked at once, and users change their mind."""
    found = fates(lambda fated: fated.submission == "accept_slowly")
    actions = []
    for label in range(40):
        actions.append(Action(1.0 + label / 50, "submit", submission(label, next(found))))
        if label >= 32:
            canceled = {"label": label, "user": 0}
            actions.append(Action(5.0 + (seed + label) % 20, "cancel", canceled))
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


def paused_as_they_send(seed: int) -> Schedule:
    """Many updates to relay, and a process that stands still for longer than a lease, again and
    again, each time just as it sends one of them."""

    def is_talkative(fated: Fate) -> bool:
        prompt = all(not lost and late <= 1.0 for lost, _, late, _ in fated.callbacks)
        slow = fated.submission == "accept" and fated.renders == 180.0
        return slow and prompt and len(fated.updates) >= 5 and not fated.missing_for

    found = fates(is_talkative)
    uneven = {"sink": SINKS[0], "kind": "uneven", "lasts": 1_000.0}
    actions = [Action(0.5, "sink_trouble", uneven)]
    for number in range(8):
        at = 1.0 + 50 * number
        told = {**submission(number, next(found)), "events": EVERY_EVENT}
        actions += [
            Action(at, "submit", told),
            Action(at + 2 + seed % 20, "stall_at_sending", {"lasts": 33.0}),
        ]
    return Schedule(seed, 1, False, tuple(sorted(actions, key=lambda action: action.at)))


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


def put_off_while_answers_are_lost(seed: int) -> Schedule:
    """Submissions fail to connect, and of what is committed meanwhile much is reported as failed;
    the attempts that are taken in the end take seconds to be answered."""
    found = fates(
        lambda fated: (
            fated.submission == "not_sent"
            and fated.latency == 8.0
            and fated.renders == 20.0
            and not fated.updates
        )
    )
    actions = [
        Action(1.0, "answers_lost", {"lasts": 40.0}),
        *(Action(1.1 + label, "submit", submission(label, next(found))) for label in range(8)),
    ]
    return Schedule(seed, 1, True, tuple(actions))


def stopped_before_it_begins(seed: int) -> Schedule:
    """Whoever has just leased a submission is stopped, and stands still with that for longer than
    the lease: another process sends the job meanwhile, and waits for its answer."""
    found = fates(
        lambda fated: (
            fated.submission == "accept_slowly" and fated.renders > 60 and not fated.updates
        )
    )
    pause = {"stalls_after": 0.002 * (1 + seed % 8), "lasts": 45.0}
    actions = (
        Action(0.5, "stop_at_submission", pause),
        Action(1.0, "submit", submission(0, next(found))),
    )
    return Schedule(seed, 2, True, actions)


def flooded_while_jobs_end(seed: int) -> Schedule:
    """Jobs whose outcomes come while callbacks of progress arrive in bursts for three seconds."""
    random = Random(seed)
    found = fates(
        lambda fated: (
            fated.submission == "accept"
            and fated.renders == 20.0
            and fated.latency < 1
            and not (fated.link_after or fated.missing_for or fated.callbacks[-1][0])
            and fated.callbacks[-1][2] <= 1.0
        )
    )
    actions = [
        Action(random.uniform(1.0, 3.0), "submit", submission(label, next(found)))
        for label in range(24)
    ]
    actions.append(Action(20.5, "flood", {"calls": 800}))
    return Schedule(seed, 1, False, tuple(sorted(actions, key=lambda action: action.at)))


def tried_again_beside_a_stall(seed: int) -> Schedule:
    """Users who do not wait long, with their keys, and a process that stands still just as it makes
    their job: the other one is asked again, and is making it when the first wakes."""
    found = fates(lambda fated: fated.submission == "accept_slowly" and fated.renders < 60)
    actions = []
    for label in range(12):
        at = 1.0 + 40 * label
        hasty = {**submission(label, next(found)), "route": "movie", "patience": 1.0}
        reached = (0.002, 0.004, 0.022, 0.024)[(seed + label) % 4]
        actions += [
            Action(at, "submit", hasty),
            Action(at + reached, "stall", {"machine": 0, "lasts": 2.5}),
        ]
    return Schedule(seed, 2, True, tuple(actions))


def _files(seed: int, wanted: Callable[[Fate], bool], *trouble: Action, jobs: int = 4) -> Schedule:
    """Jobs that have files, by their fates."""
    found = fates(lambda fated: fated.outcome == "COMPLETED" and wanted(fated))
    actions = [
        Action(1.0 + label / 2, "submit", submission(label, next(found))) for label in range(jobs)
    ]
    together = sorted([*actions, *trouble], key=lambda action: action.at)
    return Schedule(seed, 1, True, tuple(together))


def _is_had_at_once(fated: Fate) -> bool:
    file = fated.files[0]
    good = not (file.troubles or file.hopeless) and file.size > 0 and file.lives > DAY
    return is_quick(fated) and good


def _death(at: float, syncs: int, *, power: bool, do: str = "dies_at_sync") -> Action:
    return Action(at, do, {"power": power, "syncs": syncs, "down": 1.0})


def power_cut_while_it_stores(seed: int) -> Schedule:
    """The power fails at one sync of a file or of a folder, and soon again."""
    deaths = (_death(1.0 + 6 * n, (seed + n) % 5, power=True) for n in range(4))
    return _files(seed, _is_had_at_once, *deaths)


def killed_while_it_stores(seed: int) -> Schedule:
    """The process is killed at one sync of a file or of a folder, and soon again."""
    deaths = (_death(1.0 + 6 * n, (seed + n) % 5, power=False) for n in range(4))
    return _files(seed, _is_had_at_once, *deaths)


def killed_at_retention(seed: int) -> Schedule:
    """The process is killed while it removes files."""
    return _files(seed, _is_had_at_once, _death(0.5, seed % 3, power=False, do="dies_at_retention"))


def power_cut_at_retention(seed: int) -> Schedule:
    """The power fails as everything is removed."""
    cut = {"power": True, "syncs": None, "down": 1.0, "after": 30.0 * (seed % 6)}
    return _files(seed, _is_had_at_once, Action(0.5, "dies_at_retention", cut))


def cut_and_changed(seed: int) -> Schedule:
    """The connection is lost in the middle of a file, of which there is another version soon."""

    def is_cut(fated: Fate) -> bool:
        file = fated.files[0]
        return (
            file.troubles[:1] == ("cut",)
            and file.size > 1_000
            and file.version in ("etag", "date")
            and file.changes_after == 3.0
            and not file.digest
            and fated.submission == "accept"
            and fated.renders <= 60
        )

    return _files(seed, is_cut, jobs=2)
