"""Schedules for variants that random schedules would take too long to find."""

from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Any

from tests.simulation.money import LIMITED
from tests.simulation.provider import Fate, fate_of
from tests.simulation.schedule import EVERY_EVENT, SINKS, Action, Schedule, schedule_of


def submissions(
    times: Iterable[float], wanted: Callable[[Fate], bool], **changed: Any
) -> list[Action]:
    """A submission at each of these times, labelled from 0. Each has the next fate that is
    `wanted`. Its final state is relayed to the first sink, unless `changed` says otherwise."""
    seeds = (seed for seed in count() if wanted(fate_of(seed)))
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
        Action(at, "submit", {**usual, "label": label, "fate": seed, **changed})
        for (label, at), seed in zip(enumerate(times), seeds, strict=False)
    ]


def is_quick(fate: Fate) -> bool:
    """A job that is accepted at once and ends in seconds, without faults."""
    return (
        fate.submission == "accept"
        and fate.renders == 2.0
        and fate.latency < 1
        and not fate.link_after
        and fate.is_told_at_once
    )


def having(**fields: Any) -> Callable[[Fate], bool]:
    """Chooses fates that have these values."""
    return lambda fate: all(getattr(fate, name) == value for name, value in fields.items())


is_slow = having(submission="accept_slowly", is_told_at_once=True)
"""A job whose submission is answered late."""


# --- places ---------------------------------------------------------------------------------------


def flood_beside_one(seed: int) -> Schedule:
    """One user submits many jobs, and another a single one, to a provider with two places."""
    flood = submissions((1.0 + label / 10 for label in range(30)), is_quick)
    (one,) = submissions([8.0 + seed % 5], is_quick, user=1, label=99)
    return schedule_of(seed, [*flood, one], places=2)


def at_two_machines(seed: int) -> Schedule:
    """Two machines submit to a provider with one place; a batch job is the first to come."""
    (batch,) = submissions([1.0], is_quick, batch=True, label=99)
    others = submissions((1.0 + label / 10 for label in range(12)), is_quick)
    return schedule_of(seed, [batch, *others], machines=2, places=1)


# --- submissions ----------------------------------------------------------------------------------


def put_off_while_the_disk_is_full(seed: int) -> Schedule:
    """The provider answers submissions with a Retry-After, and the disk is full for a while."""
    actions = submissions(
        (1.0 + label for label in range(5)),
        lambda fate: fate.submission == "busy" and fate.latency == 8.0 and fate.renders < 60,
    )
    return schedule_of(seed, [*actions, Action(7.0 + seed % 3, "disk_full", {"lasts": 6.0})])


def put_off_while_answers_are_lost(seed: int) -> Schedule:
    """Submissions fail to connect, and many commits are reported as failed although they succeeded;
    the attempts that are accepted in the end take seconds to be answered."""
    is_put_off = having(submission="not_sent", latency=8.0, renders=20.0, updates=())
    lost = Action(1.0, "answers_lost", {"lasts": 40.0})
    return schedule_of(seed, [lost, *submissions((1.1 + label for label in range(8)), is_put_off)])


def tried_again_beside_a_stall(seed: int) -> Schedule:
    """Users with keys and short timeouts, and a process that is suspended just as it creates their
    job. They retry at the other process, which is creating the job when the first one wakes."""
    actions = submissions(
        (1.0 + 40 * label for label in range(12)),
        lambda fate: is_slow(fate) and fate.renders < 60,
        route="movie",
        timeout=1.0,
    )
    for label, action in enumerate([*actions]):
        reached = (0.002, 0.004, 0.022, 0.024)[(seed + label) % 4]
        actions.append(Action(action.at + reached, "stall", {"machine": 0, "lasts": 2.5}))
    return schedule_of(seed, actions, machines=2)


# --- outcomes -------------------------------------------------------------------------------------


def forged_while_it_renders(seed: int) -> Schedule:
    """Jobs that render for a while, and forged claims of another outcome meanwhile."""
    takes_a_while = having(submission="accept", renders=60.0, outcome="COMPLETED")
    actions = submissions([1.0, 2.0, 3.0], takes_a_while)
    for label in range(3):
        forged = {"label": label, "kind": "claim", "status": "FAILED"}
        actions.append(Action(15.0 + label, "forge", forged))
    return schedule_of(seed, actions)


def failing_beside_a_lost_callback(seed: int) -> Schedule:
    """Callbacks are lost, and the status calls of one job fail for hours."""

    def is_polled(fate: Fate) -> bool:
        lost = all(how[0] for how in fate.callbacks)
        return fate.submission == "accept" and lost and not (fate.missing_for or fate.link_after)

    def is_failing(fate: Fate) -> bool:
        return is_polled(fate) and fate.failing_for > 3_600.0

    def is_answered(fate: Fate) -> bool:
        return is_polled(fate) and fate.is_told_at_once and fate.renders <= 600.0

    failing = submissions([1.0], is_failing)
    return schedule_of(seed, [*failing, *submissions([300.0], is_answered, label=1)])


# --- relays ---------------------------------------------------------------------------------------


def stalled_while_it_sends(seed: int) -> Schedule:
    """The sink is silent for a while, and one of two processes stalls while it sends."""
    silent = Action(0.5, "sink_trouble", {"sink": SINKS[0], "kind": "silent", "lasts": 43.0})
    stall = Action(35.0 + seed % 7, "stall", {"machine": 0, "lasts": 60.0})
    actions = [silent, *submissions([1.0], is_quick), stall]
    return schedule_of(seed, actions, machines=2, confirm=False)


def two_processes_and_a_slow_sink(seed: int) -> Schedule:
    """An attempt that takes as long as allowed, while another process looks for work."""
    silent = Action(0.5, "sink_trouble", {"sink": SINKS[0], "kind": "silent", "lasts": 90.0})
    return schedule_of(seed, [silent, *submissions([1.0], is_quick)], machines=2, confirm=False)


def paused_as_they_send(seed: int) -> Schedule:
    """Many updates to relay, and a process that is suspended again and again for longer than a
    lease, each time just as it sends an update."""

    def is_talkative(fate: Fate) -> bool:
        prompt = all(not lost and late <= 1.0 for lost, _, late, _ in fate.callbacks)
        slow = fate.submission == "accept" and fate.renders == 180.0
        return slow and prompt and len(fate.updates) >= 5 and fate.is_told_at_once

    uneven = {"sink": SINKS[0], "kind": "uneven", "lasts": 1_000.0}
    times = [1.0 + 50 * number for number in range(8)]
    actions = [
        Action(0.5, "sink_trouble", uneven),
        *submissions(times, is_talkative, events=EVERY_EVENT),
        *(Action(at + 2 + seed % 20, "stall_at_sending", {"lasts": 33.0}) for at in times),
    ]
    return schedule_of(seed, actions, confirm=False)


def gone_as_they_render(seed: int) -> Schedule:
    """Jobs with many updates to relay, to an address that answers 410 meanwhile."""

    def is_talkative(fate: Fate) -> bool:
        prompt = all(not lost and late <= 1.0 for lost, _, late, _ in fate.callbacks)
        return fate.submission == "accept" and prompt and len(fate.updates) >= 3

    gone = {"sink": SINKS[0], "kind": "gone", "lasts": 1_000.0}
    actions = [
        Action(0.5, "sink_trouble", gone),
        *submissions((1.0, 2.0, 3.0), is_talkative, events=EVERY_EVENT),
    ]
    return schedule_of(seed, actions)


def paused_between_lease_and_sending(seed: int) -> Schedule:
    """A process that has just leased a message is suspended for longer than the lease."""

    def has_much_to_relay(fate: Fate) -> bool:
        taken = fate.submission == "accept" and fate.renders in (20.0, 60.0)
        prompt = fate.is_told_at_once and not fate.link_after
        return taken and prompt and len(fate.updates) >= 3

    random = Random(seed)
    times = [random.uniform(1.0, 10.0) for _ in range(12)]
    stall = Action(random.uniform(11.0, 40.0), "stall_at_relay", {"lasts": 45.0})
    actions = [*submissions(times, has_much_to_relay, events=EVERY_EVENT), stall]
    return schedule_of(seed, actions, machines=2, confirm=False)


# --- money ----------------------------------------------------------------------------------------


def more_at_once_than_a_budget_allows(seed: int) -> Schedule:
    """Within a tenth of a second, a user submits twice as much as the budget allows."""
    random = Random(seed)
    times = [random.uniform(1.0, 1.1) for _ in range(24)]
    return schedule_of(seed, submissions(times, is_quick, user=LIMITED))


# --- processes ------------------------------------------------------------------------------------


def stopped_with_a_full_disk(seed: int) -> Schedule:
    """SIGTERM while submissions are under way and nothing can be written."""
    random = Random(seed)
    actions = submissions(
        (random.uniform(1.0, 10.0) for _ in range(6)),
        lambda fate: fate.submission in ("accept_slowly", "busy", "lose_answer", "accept"),
    )
    lasts = random.choice([1.0, 5.0, 20.0])
    actions += [
        Action(random.uniform(2.0, 15.0), "restart", {"machine": 0, "down": 2.0}),
        Action(random.uniform(2.0, 14.0), "disk_full", {"lasts": lasts}),
    ]
    return schedule_of(seed, actions, confirm=False)


def stopped_as_it_sends_with_a_full_disk(seed: int) -> Schedule:
    """SIGTERM while a message is sent to a silent endpoint, and its lease cannot be given back."""
    stops_at = Random(seed).uniform(4.0, 12.0)
    actions = [
        *submissions([1.0], lambda fate: is_quick(fate) and not fate.callbacks[-1][0]),
        Action(1.0, "sink_trouble", {"sink": SINKS[0], "kind": "silent", "lasts": 30.0}),
        Action(stops_at, "restart", {"machine": 0, "down": 2.0}),
        Action(stops_at + 1.0, "disk_full", {"lasts": 8.0}),
    ]
    return schedule_of(seed, actions, confirm=False)


def flooded_while_jobs_end(seed: int) -> Schedule:
    """Jobs whose outcomes arrive while bursts of progress callbacks come for three seconds."""

    def ends_by_callback(fate: Fate) -> bool:
        lost, _, late, _ = fate.callbacks[-1]
        taken = fate.submission == "accept" and fate.latency < 1 and fate.renders == 20.0
        return taken and fate.is_told_at_once and not (fate.link_after or lost) and late <= 1.0

    random = Random(seed)
    actions = submissions((random.uniform(1.0, 3.0) for _ in range(24)), ends_by_callback)
    return schedule_of(seed, [*actions, Action(20.5, "flood", {"calls": 800})], confirm=False)
