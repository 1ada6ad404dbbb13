"""Holds on submissions to a provider that limits our rate (429, or 503 with Retry-After).

A refusal does not say whom the provider limits: all of us, one user, or one job. So we find out:

1. A refusal holds the submissions of all users. When the hold ends, one submission is sent as a
   probe, preferably another user's.
2. If the probe is refused too, the next hold is twice as long; if the probe came long after the
   hold, it is as long as a first one.
3. If the probe is accepted, or refused with another 4xx, the hold ends, and the users who were
   refused before are limited individually: from now on, their refusals hold only themselves, by
   the same rules. If the probe was the same user's, the refused jobs are limited individually:
   their refusals hold nothing.

So once a probe is accepted, those that are limited individually hold up no others.

Pure: state and time are passed in, and the new state is returned.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from receiver.domain.schedule import DAY, SECOND
from store.records.holds import Hold, LimitedUser, ProviderHolds, Refusal
from store.records.times import Millis

K = TypeVar("K")
V = TypeVar("V")
Change: TypeAlias = Callable[[ProviderHolds], ProviderHolds]

DEFAULT_HOLD = 5 * SECOND
"""The hold's length if the provider gives none."""
LONGEST_FIRST_HOLD = 60 * SECOND
"""The longest hold from a Retry-After. The refused job itself waits for the full Retry-After."""
LONGEST_HOLD = 300 * SECOND
LATEST_END = LONGEST_HOLD + 60 * SECOND
"""A hold that ends later than this from now was begun before the clock was set back, and counts as
ended. Replicas' clocks may be some seconds apart."""
PROBE_TIME = 5 * SECOND
"""After this time without an answer another probe may be sent: a slow call holds nobody up."""
REMEMBERED = DAY
"""How long a user or job stays limited individually after its last refusal."""
MAX_REMEMBERED = 500
MAX_LISTED = 20
"""Maximum number of refusals and of probes in a hold; the newest are kept."""

NO_HOLDS = ProviderHolds()

# --- questions ------------------------------------------------------------------------------------


def holds_on(holds: ProviderHolds, user_id: int) -> list[Hold]:
    """The holds that apply to the user: the one on all users, and the user's own. Even once they
    have ended, a submission must be a probe, or wait for the answer to one."""
    limited = holds.users.get(user_id)
    both = (holds.everybody, limited.hold if limited is not None else None)
    return [hold for hold in both if hold is not None]


def held_until(holds: ProviderHolds, user_id: int, now: Millis) -> Millis:
    """Until when a submission of the user must wait; 0 if it need not."""
    lasting = (hold.until for hold in holds_on(holds, user_id) if _lasts(hold, now))
    return max(lasting, default=0)


def is_probe(holds: ProviderHolds, user_id: int, job_id: str) -> bool:
    """Whether the job was sent as a probe, and its answer still counts as one."""
    return any(job_id in hold.probes for hold in holds_on(holds, user_id))


def best_probe_user(holds: ProviderHolds, user_ids: Sequence[int]) -> int:
    """The waiting user who should send the probe: preferably one who was not refused."""
    refusals = holds.everybody.refusals if holds.everybody is not None else ()
    refused_users = holds.users.keys() | {refusal.user_id for refusal in refusals}
    return next((user_id for user_id in user_ids if user_id not in refused_users), user_ids[0])


def refused_jobs(holds: ProviderHolds, user_id: int) -> set[str]:
    """Refused jobs, to be sent as a probe only if no other job waits."""
    refusals = (refusal for hold in holds_on(holds, user_id) for refusal in hold.refusals)
    return {refusal.request_id for refusal in refusals} | set(holds.jobs)


def current(holds: ProviderHolds, now: Millis) -> Iterator[tuple[bool, Hold]]:
    """The current holds, and whether each applies to all users."""
    if holds.everybody is not None and _lasts(holds.everybody, now):
        yield True, holds.everybody
    for limited in holds.users.values():
        if limited.hold is not None and _lasts(limited.hold, now):
            yield False, limited.hold


# --- events ---------------------------------------------------------------------------------------


def send_probe(holds: ProviderHolds, user_id: int, job_id: str, now: Millis) -> ProviderHolds:
    """The holds with the job sent as their probe; unchanged if it must wait."""
    if held_until(holds, user_id, now):
        return holds

    def probed(hold: Hold) -> Hold:
        probes = (*hold.probes, job_id)[-MAX_LISTED:]
        length = hold.length if abs(now - hold.until) <= LONGEST_HOLD else 0
        return replace(hold, until=now + PROBE_TIME, length=length, probes=probes)

    return _change_each(holds, user_id, probed)


def refused(
    holds: ProviderHolds, refusal: Refusal, retry_after: Millis | None, now: Millis
) -> ProviderHolds:
    """The holds after a submission was refused for now."""
    pause = min(DEFAULT_HOLD if retry_after is None else retry_after, LONGEST_FIRST_HOLD)
    job_id, user_id = refusal.request_id, refusal.user_id
    limited = holds.users.get(user_id)
    if job_id in holds.jobs:
        holds = _change_each(holds, user_id, lambda hold: _without_probe(hold, job_id, now))
        holds = replace(holds, jobs={**holds.jobs, job_id: now})
    elif limited is not None:
        everybody = holds.everybody and _without_probe(holds.everybody, job_id, now)
        limited = LimitedUser(now, _after_refusal(limited.hold, refusal, pause, now))
        holds = replace(holds, everybody=everybody, users={**holds.users, user_id: limited})
    else:
        holds = replace(holds, everybody=_after_refusal(holds.everybody, refusal, pause, now))
    return _forget_old(holds, now)


def answered(holds: ProviderHolds, user_id: int, job_id: str, now: Millis) -> ProviderHolds:
    """The holds after an acceptance, or a refusal with another 4xx than 429. A probe ends the holds
    that it tested."""
    users, jobs = dict(holds.users), dict(holds.jobs)
    tested = [hold for hold in holds_on(holds, user_id) if job_id in hold.probes]
    for refusal in (refusal for hold in tested for refusal in hold.refusals):
        if refusal.user_id != user_id:
            users.setdefault(refusal.user_id, LimitedUser(now))
        elif refusal.request_id != job_id:
            jobs[refusal.request_id] = now
    holds = replace(holds, users=users, jobs=jobs)
    holds = _change_each(holds, user_id, lambda hold: None if job_id in hold.probes else hold)
    return _forget_old(holds, now)


# --- one hold -------------------------------------------------------------------------------------


def _lasts(hold: Hold, now: Millis) -> bool:
    """Whether the hold is still in effect."""
    return now < hold.until <= now + LATEST_END


def _after_refusal(hold: Hold | None, refusal: Refusal, pause: Millis, now: Millis) -> Hold:
    """A new hold, or a longer one if the refused submission was a probe."""
    if hold is None:
        return Hold(now + pause, pause, (refusal,))
    if refusal.request_id not in hold.probes:
        return hold  # sent before the hold, so the refusal says nothing new
    length = min(max(2 * hold.length, pause, SECOND), LONGEST_HOLD)
    return Hold(now + length, length, (*hold.refusals, refusal)[-MAX_LISTED:])


def _without_probe(hold: Hold, job_id: str, now: Millis) -> Hold:
    """The hold without this job as a probe. Its refusal says nothing about other jobs, so another
    probe may be sent at once."""
    if job_id not in hold.probes:
        return hold
    return replace(hold, until=now, probes=tuple(each for each in hold.probes if each != job_id))


# --- all holds ------------------------------------------------------------------------------------


def _change_each(
    holds: ProviderHolds, user_id: int, change: Callable[[Hold], Hold | None]
) -> ProviderHolds:
    """Replace the holds that apply to the user; None ends one."""
    users = holds.users
    limited = users.get(user_id)
    if limited is not None and limited.hold is not None:
        users = {**users, user_id: replace(limited, hold=change(limited.hold))}
    return replace(holds, everybody=holds.everybody and change(holds.everybody), users=users)


def _forget_old(holds: ProviderHolds, now: Millis) -> ProviderHolds:
    """Keep the users and jobs that were refused lately, at most `MAX_REMEMBERED` of each."""
    users = _newest(holds.users, lambda limited: limited.seen_at, now)
    return replace(holds, users=users, jobs=_newest(holds.jobs, lambda at: at, now))


def _newest(known: Mapping[K, V], seen_at: Callable[[V], Millis], now: Millis) -> dict[K, V]:
    recent = [item for item in known.items() if seen_at(item[1]) > now - REMEMBERED]
    return dict(sorted(recent, key=lambda item: seen_at(item[1]))[-MAX_REMEMBERED:])
