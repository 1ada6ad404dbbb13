"""Holds submissions to a provider that limits our rate (429, or 503 with Retry-After).

A refusal holds all submissions to the provider. When the hold ends, one submission is sent as a
probe, preferably another user's. If the probe is refused too, the next hold is twice as long. If it
is accepted, the hold is over, and each user who was refused before is marked as limited alone: from
then on, refusals of that user hold only that user. The jobs of one user are marked in the same way.
So nobody waits for more than one hold that others caused.

Pure: state and time are passed in, and the new state is returned.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from store.holds import Hold, LoneUser, ProviderHolds, Refusal
from store.records.times import Millis

K = TypeVar("K")
Change: TypeAlias = Callable[[ProviderHolds], ProviderHolds]

SECOND: Millis = 1_000
DEFAULT_PAUSE = 5 * SECOND
"""The hold's length if the provider gives none."""
LONGEST_RETRY_AFTER = 60 * SECOND
"""The longest hold from a Retry-After; the refused job itself waits for all of it."""
LONGEST_HOLD = 300 * SECOND
PROBE_TIME = 5 * SECOND
"""After this time without an answer another probe may be sent: a slow call holds nobody up."""
REMEMBERED = 24 * 3_600 * SECOND
"""How long a user or job stays marked as limited alone after its last refusal."""
MOST_REMEMBERED = 500
MOST_LISTED = 20
"""Maximum number of refusals and of probes in a hold; the newest are kept."""

OPEN = ProviderHolds()


def is_held(holds: ProviderHolds, user_id: int, now: Millis) -> bool:
    """Whether a submission of the user must wait."""
    return any(hold.until > now for hold in _over(holds, user_id))


def needs_probe(holds: ProviderHolds, user_id: int) -> bool:
    """Whether a submission of the user would be a probe, or must wait for one."""
    return any(True for _ in _over(holds, user_id))


def is_probe(holds: ProviderHolds, user_id: int, job_id: str) -> bool:
    """Whether the job was sent as a probe, and its answer still counts as one."""
    return any(job_id in hold.probes for hold in _over(holds, user_id))


def held_until(holds: ProviderHolds, user_id: int) -> Millis:
    """Until when a submission of the user must wait; 0 if it need not."""
    return max((hold.until for hold in _over(holds, user_id)), default=0)


def next_end(holds: ProviderHolds, now: Millis) -> Millis | None:
    """When the next of the provider's holds ends."""
    return min((hold.until for _, hold in current(holds, now)), default=None)


def current(holds: ProviderHolds, now: Millis) -> Iterator[tuple[bool, Hold]]:
    """The current holds, and whether each applies to all users."""
    if holds.everybody is not None and holds.everybody.until > now:
        yield True, holds.everybody
    for lone in holds.users.values():
        if lone.hold is not None and lone.hold.until > now:
            yield False, lone.hold


def best_probe_user(holds: ProviderHolds, user_ids: Sequence[int]) -> int:
    """The waiting user who should send the probe: preferably one who was not refused."""
    suspects = holds.users.keys() | {
        refusal.user_id for hold in [holds.everybody] if hold for refusal in hold.refusals
    }
    return next((user_id for user_id in user_ids if user_id not in suspects), user_ids[0])


def refused_jobs(holds: ProviderHolds, user_id: int) -> set[str]:
    """Refused jobs, to be sent as a probe only if no other job waits."""
    refusals = (refusal for hold in _over(holds, user_id) for refusal in hold.refusals)
    return {refusal.request_id for refusal in refusals} | set(holds.jobs)


def send_probe(holds: ProviderHolds, user_id: int, job_id: str, now: Millis) -> ProviderHolds:
    """The holds with the job sent as their probe; unchanged if it must wait."""
    if is_held(holds, user_id, now):
        return holds

    def probed(hold: Hold | None) -> Hold | None:
        if hold is None:
            return None
        probes = (*hold.probes, job_id)[-MOST_LISTED:]
        return replace(hold, until=now + PROBE_TIME, probes=probes)

    return _map(holds, user_id, probed)


def refused(
    holds: ProviderHolds, refusal: Refusal, retry_after: Millis | None, now: Millis
) -> ProviderHolds:
    """A submission was refused for now."""
    pause = min(DEFAULT_PAUSE if retry_after is None else retry_after, LONGEST_RETRY_AFTER)
    job_id, user_id = refusal.request_id, refusal.user_id
    if job_id in holds.jobs:
        # This says nothing about others: the next probe may be sent at once.
        holds = _map(holds, user_id, lambda hold: _unprobed(hold, job_id, now))
        return replace(holds, jobs=_newest({**holds.jobs, job_id: now}, now))
    lone = holds.users.get(user_id)
    if lone is None:
        return replace(holds, everybody=_longer(holds.everybody, refusal, pause, now))
    hold = LoneUser(now, _longer(lone.hold, refusal, pause, now))
    return replace(
        holds,
        everybody=_unprobed(holds.everybody, job_id, now),
        users=_newest_users({**holds.users, user_id: hold}, now),
    )


def answered(holds: ProviderHolds, user_id: int, job_id: str, now: Millis) -> ProviderHolds:
    """A submission was accepted, or refused for its content. A probe ends the holds it tested."""
    users, jobs = dict(holds.users), dict(holds.jobs)
    everybody = holds.everybody
    ended = [hold for hold in _over(holds, user_id) if job_id in hold.probes]
    for refusal in (refusal for hold in ended for refusal in hold.refusals):
        if refusal.user_id != user_id:
            users.setdefault(refusal.user_id, LoneUser(now))
        elif refusal.request_id != job_id:
            jobs[refusal.request_id] = now
    if everybody in ended:
        everybody = None
    lone = users.get(user_id)
    if lone is not None and lone.hold in ended:
        users[user_id] = replace(lone, hold=None)
    return ProviderHolds(everybody, _newest_users(users, now), _newest(jobs, now))


def _over(holds: ProviderHolds, user_id: int) -> Iterator[Hold]:
    """The holds that apply to the user, including ended ones."""
    if holds.everybody is not None:
        yield holds.everybody
    lone = holds.users.get(user_id)
    if lone is not None and lone.hold is not None:
        yield lone.hold


def _map(
    holds: ProviderHolds, user_id: int, change: Callable[[Hold | None], Hold | None]
) -> ProviderHolds:
    """Change the holds that apply to the user."""
    lone = holds.users.get(user_id)
    users = holds.users
    if lone is not None:
        users = {**users, user_id: replace(lone, hold=change(lone.hold))}
    return replace(holds, everybody=change(holds.everybody), users=users)


def _longer(hold: Hold | None, refusal: Refusal, pause: Millis, now: Millis) -> Hold:
    if hold is None:
        return Hold(now + pause, pause, (refusal,))
    if refusal.request_id not in hold.probes:
        return hold  # sent before the hold, so the refusal says nothing new
    length = min(max(2 * hold.length, pause, SECOND), LONGEST_HOLD)
    return Hold(now + length, length, (*hold.refusals, refusal)[-MOST_LISTED:])


def _unprobed(hold: Hold | None, job_id: str, now: Millis) -> Hold | None:
    """The hold after an inconclusive probe: the next probe may be sent at once."""
    if hold is None or job_id not in hold.probes:
        return hold
    return replace(hold, until=now, probes=tuple(each for each in hold.probes if each != job_id))


def _newest(seen: Mapping[K, Millis], now: Millis) -> dict[K, Millis]:
    """The recent entries, at most `MOST_REMEMBERED`."""
    fresh = {key: at for key, at in seen.items() if at > now - REMEMBERED}
    keep = sorted(fresh, key=fresh.__getitem__)[-MOST_REMEMBERED:]
    return {key: fresh[key] for key in keep}


def _newest_users(users: Mapping[int, LoneUser], now: Millis) -> dict[int, LoneUser]:
    keep = _newest({user_id: lone.seen_at for user_id, lone in users.items()}, now)
    return {user_id: users[user_id] for user_id in keep}
