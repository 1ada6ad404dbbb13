"""Schedules for variants that random schedules would take too long to find."""

from collections.abc import Callable, Iterable
from itertools import count, pairwise
from random import Random
from typing import Any

from tests.simulation.provider import Fate, fate
from tests.simulation.schedule import EVERY_EVENT, SINKS, Action, Schedule, planned


def submissions(
    times: Iterable[float], wanted: Callable[[Fate], bool], **changed: Any
) -> list[Action]:
    """A submission at each of these times, labelled from 0. Each has the next fate that is
    `wanted`. Its final state is relayed to the first sink, unless `changed` says otherwise."""
    fates = (seed for seed in count() if wanted(fate(seed)))
    usual = {
        "user": 0,
        "route": "jobs",
        "key": True,
        "wait": None,
        "timeout": 70.0,
        "sink": SINKS[0],
        "events": ("COMPLETED", "FAILED", "CANCELLED"),
    }
    return [
        Action(at, "submit", {**usual, "label": label, "fate": fated, **changed})
        for (label, at), fated in zip(enumerate(times), fates, strict=False)
    ]


def is_quick(fated: Fate) -> bool:
    """A job that is accepted at once and ends in seconds, without faults."""
    return (
        fated.submission == "accept"
        and fated.renders == 2.0
        and fated.latency < 1
        and not fated.link_after
        and fated.is_told_at_once
    )


def is_slow(fated: Fate) -> bool:
    """A job whose submission is answered late."""
    return fated.submission == "accept_slowly" and fated.is_told_at_once


# --- submissions ----------------------------------------------------------------------------------


def cancelled_while_it_waits(seed: int) -> Schedule:
    """The provider is slow, more jobs wait than may be submitted at once, and users cancel some of
    them."""
    actions = submissions((1.0 + label / 50 for label in range(40)), is_slow)
    for label in range(32, 40):
        canceled = {"label": label, "user": 0}
        actions.append(Action(5.0 + (seed + label) % 20, "cancel", canceled))
    return planned(seed, actions)


def put_off_while_the_disk_is_full(seed: int) -> Schedule:
    """The provider answers submissions with a Retry-After, and the disk is full for a while."""
    actions = submissions(
        (1.0 + label for label in range(5)),
        lambda fated: fated.submission == "busy" and fated.latency == 8.0 and fated.renders < 60,
    )
    return planned(seed, [*actions, Action(7.0 + seed % 3, "disk_full", {"lasts": 6.0})])


def put_off_while_answers_are_lost(seed: int) -> Schedule:
    """Submissions fail to connect, and many commits are reported as failed although they succeeded;
    the attempts that are accepted in the end take seconds to be answered."""

    def is_put_off(fated: Fate) -> bool:
        slow = fated.submission == "not_sent" and fated.latency == 8.0
        return slow and fated.renders == 20.0 and not fated.updates

    lost = Action(1.0, "answers_lost", {"lasts": 40.0})
    return planned(seed, [lost, *submissions((1.1 + label for label in range(8)), is_put_off)])


def stopped_before_it_begins(seed: int) -> Schedule:
    """A process that has just leased a submission is stopped, and suspended for longer than the
    lease just before its attempt begins. Meanwhile another process submits the job and waits for
    the answer."""

    def is_slow(fated: Fate) -> bool:
        slow = fated.submission == "accept_slowly" and fated.renders > 60
        return slow and not fated.updates

    pause = {"stalls_after": 0.003 + 0.0005 * (seed % 5), "lasts": 45.0}
    actions = [Action(0.5, "stop_at_submission", pause), *submissions([1.0], is_slow)]
    return planned(seed, actions, machines=2)


def tried_again_beside_a_stall(seed: int) -> Schedule:
    """Users with keys and short timeouts, and a process that is suspended just as it creates their
    job. They retry at the other process, which is creating the job when the first one wakes."""
    actions = submissions(
        (1.0 + 40 * label for label in range(12)),
        lambda fated: is_slow(fated) and fated.renders < 60,
        route="movie",
        timeout=1.0,
    )
    for label, action in enumerate([*actions]):
        reached = (0.002, 0.004, 0.022, 0.024)[(seed + label) % 4]
        actions.append(Action(action.at + reached, "stall", {"machine": 0, "lasts": 2.5}))
    return planned(seed, actions, machines=2)


# --- outcomes -------------------------------------------------------------------------------------


def stalled_while_it_applies(seed: int) -> Schedule:
    """Many callbacks, and two processes that stall while they apply them."""
    random = Random(seed)
    actions = submissions(
        (random.uniform(1.0, 4.0) for _ in range(10)),
        lambda fated: is_quick(fated) and len(fated.updates) >= 3,
    )
    actions += [
        Action(random.uniform(1.5, 7.0), "stall", {"machine": machine, "lasts": 9.0})
        for machine in range(2)
    ]
    return planned(seed, actions, machines=2, confirm=False)


def forged_while_it_renders(seed: int) -> Schedule:
    """Jobs that render for a while, and forged claims of another outcome meanwhile."""

    def takes_a_while(fated: Fate) -> bool:
        taken = fated.submission == "accept" and fated.renders == 60.0
        return taken and fated.outcome == "COMPLETED"

    actions = submissions([1.0, 2.0, 3.0], takes_a_while)
    for label in range(3):
        forged = {"label": label, "kind": "claim", "status": "FAILED"}
        actions.append(Action(15.0 + label, "forge", forged))
    return planned(seed, actions)


def forged_in_an_outage(seed: int) -> Schedule:
    """A job was just seen rendering; then nobody answers, and a forged claim says it failed."""

    def is_silent(fated: Fate) -> bool:
        taken = fated.submission == "accept" and fated.renders == 180.0
        return taken and fated.is_told_at_once and not fated.updates

    forged = {"label": 0, "kind": "claim", "status": "FAILED"}
    outage = Action(41.0, "outage", {"kind": "broken", "lasts": 100.0})
    return planned(seed, [*submissions([1.0], is_silent), outage, Action(44.0, "forge", forged)])


def progress_that_falls(seed: int) -> Schedule:
    """A job whose callbacks report falling progress."""

    def falls(fated: Fate) -> bool:
        reported = [
            said.get("progress")
            for (_, said), (lost, *_) in zip(fated.updates, fated.callbacks, strict=False)
            if not lost
        ]
        numbers = [float(each) for each in reported if isinstance(each, int | float) and each >= 0]
        slow = fated.submission == "accept" and fated.renders >= 60
        return slow and any(b < a for a, b in pairwise(numbers))

    return planned(seed, submissions([1.0], falls))


def failing_beside_a_lost_callback(seed: int) -> Schedule:
    """Callbacks are lost, and the status calls of one job fail for hours."""

    def is_polled(fated: Fate) -> bool:
        lost = all(how[0] for how in fated.callbacks)
        return fated.submission == "accept" and lost and not (fated.missing_for or fated.link_after)

    def is_failing(fated: Fate) -> bool:
        return is_polled(fated) and fated.failing_for > 3_600.0

    def is_answered(fated: Fate) -> bool:
        return is_polled(fated) and fated.is_told_at_once and fated.renders <= 600.0

    failing = submissions([1.0], is_failing)
    return planned(seed, [*failing, *submissions([300.0], is_answered, label=1)])


def unknown_for_a_while(seed: int) -> Schedule:
    """Status calls answer 404 for some minutes."""

    def is_missing(fated: Fate) -> bool:
        taken = fated.submission == "accept" and fated.renders > 60
        return taken and fated.missing_for == 300.0

    return planned(seed, submissions([1.0], is_missing))


# --- relays ---------------------------------------------------------------------------------------


def stalled_while_it_sends(seed: int) -> Schedule:
    """The sink is silent for a while, and one of two processes stalls while it sends."""
    silent = Action(0.5, "sink_trouble", {"sink": SINKS[0], "kind": "silent", "lasts": 43.0})
    stall = Action(35.0 + seed % 7, "stall", {"machine": 0, "lasts": 60.0})
    actions = [silent, *submissions([1.0], is_quick), stall]
    return planned(seed, actions, machines=2, confirm=False)


def two_processes_and_a_slow_sink(seed: int) -> Schedule:
    """An attempt that takes as long as allowed, while another process looks for work."""
    silent = Action(0.5, "sink_trouble", {"sink": SINKS[0], "kind": "silent", "lasts": 90.0})
    return planned(seed, [silent, *submissions([1.0], is_quick)], machines=2, confirm=False)


def paused_as_they_send(seed: int) -> Schedule:
    """Many updates to relay, and a process that is suspended again and again for longer than a
    lease, each time just as it sends an update."""

    def is_talkative(fated: Fate) -> bool:
        prompt = all(not lost and late <= 1.0 for lost, _, late, _ in fated.callbacks)
        slow = fated.submission == "accept" and fated.renders == 180.0
        return slow and prompt and len(fated.updates) >= 5 and fated.is_told_at_once

    uneven = {"sink": SINKS[0], "kind": "uneven", "lasts": 1_000.0}
    times = [1.0 + 50 * number for number in range(8)]
    actions = [
        Action(0.5, "sink_trouble", uneven),
        *submissions(times, is_talkative, events=EVERY_EVENT),
        *(Action(at + 2 + seed % 20, "stall_at_sending", {"lasts": 33.0}) for at in times),
    ]
    return planned(seed, actions, confirm=False)


def gone_as_they_render(seed: int) -> Schedule:
    """Jobs with many updates to relay, to an address that answers 410 meanwhile."""

    def is_talkative(fated: Fate) -> bool:
        prompt = all(not lost and late <= 1.0 for lost, _, late, _ in fated.callbacks)
        return fated.submission == "accept" and prompt and len(fated.updates) >= 3

    gone = {"sink": SINKS[0], "kind": "gone", "lasts": 1_000.0}
    actions = [
        Action(0.5, "sink_trouble", gone),
        *submissions((1.0, 2.0, 3.0), is_talkative, events=EVERY_EVENT),
    ]
    return planned(seed, actions)


def paused_between_lease_and_sending(seed: int) -> Schedule:
    """A process that has just leased a message is suspended for longer than the lease."""

    def has_much_to_relay(fated: Fate) -> bool:
        taken = fated.submission == "accept" and fated.renders in (20.0, 60.0)
        prompt = fated.is_told_at_once and not fated.link_after
        return taken and prompt and len(fated.updates) >= 3

    random = Random(seed)
    times = [random.uniform(1.0, 10.0) for _ in range(12)]
    stall = Action(random.uniform(11.0, 40.0), "stall_at_relay", {"lasts": 45.0})
    actions = [*submissions(times, has_much_to_relay, events=EVERY_EVENT), stall]
    return planned(seed, actions, machines=2, confirm=False)


# --- processes ------------------------------------------------------------------------------------


def stopped_with_a_full_disk(seed: int) -> Schedule:
    """SIGTERM while submissions are under way and nothing can be written."""
    random = Random(seed)
    actions = submissions(
        (random.uniform(1.0, 10.0) for _ in range(6)),
        lambda fated: fated.submission in ("accept_slowly", "busy", "lose_answer", "accept"),
    )
    lasts = random.choice([1.0, 5.0, 20.0])
    actions += [
        Action(random.uniform(2.0, 15.0), "restart", {"machine": 0, "down": 2.0}),
        Action(random.uniform(2.0, 14.0), "disk_full", {"lasts": lasts}),
    ]
    return planned(seed, actions, confirm=False)


def flooded_while_jobs_end(seed: int) -> Schedule:
    """Jobs whose outcomes arrive while bursts of progress callbacks come for three seconds."""

    def ends_by_callback(fated: Fate) -> bool:
        lost, _, late, _ = fated.callbacks[-1]
        taken = fated.submission == "accept" and fated.latency < 1 and fated.renders == 20.0
        return taken and fated.is_told_at_once and not (fated.link_after or lost) and late <= 1.0

    random = Random(seed)
    actions = submissions((random.uniform(1.0, 3.0) for _ in range(24)), ends_by_callback)
    return planned(seed, [*actions, Action(20.5, "flood", {"calls": 800})], confirm=False)
