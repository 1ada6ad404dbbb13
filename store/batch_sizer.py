"""Shares the writer's time between clients' writes and background work. Pure.

Background work (applying callbacks, submitting, polling, delivering, bulk work) gets about a third
of the time that the urgent part of a batch takes, and twice that once its oldest member has waited
for 0.2 s. Shares are by time, not by count: applying a callback takes ten times as long as
accepting one. So a flood of callbacks or submissions cannot delay the outcome of a job.
"""

SHARE = 1 / 3
"""Background time as a fraction of the batch's urgent time."""
LATE_SHARE = 2 / 3
LATE = 0.2
"""Seconds of waiting after which the larger share applies."""

URGENT_TIME = 0.05
"""Maximum seconds of a batch's urgent part, estimated from past batches: a job's next step waits
for a whole batch, and a job with long metadata takes a hundred times as long as a callback."""
MIN_URGENT = 4
MAX_URGENT = 40
"""Minimum and maximum number of urgent members in a batch."""

MIN_BACKGROUND = 16
"""A batch has room for at least this many background members: they hardly slow down its commit."""
MAX_BACKGROUND = 64
"""Maximum number, even while no client waits: a client that arrives waits only milliseconds."""

BULK_SHARE = 1 / 4
"""Bulk work's fraction of the background members while steps of jobs are waiting too."""

_WEIGHT = 0.2
"""Weight of the newest batch in the moving average."""


class BatchSizer:
    """Averages how long a member of each kind takes, and sizes the next batch."""

    def __init__(self) -> None:
        self._urgent = 0.0
        self._background = 0.0

    def record(self, urgent: int, background: int, seconds: tuple[float, float]) -> None:
        """Record a batch: its members, and the seconds of its urgent and its background part."""
        if urgent:
            self._urgent += _WEIGHT * (seconds[0] / urgent - self._urgent)
        if background:
            self._background += _WEIGHT * (seconds[1] / background - self._background)

    @property
    def urgent_members(self) -> int:
        """How many urgent members a batch may have."""
        if not self._urgent:
            return MAX_URGENT
        return min(max(MIN_URGENT, int(URGENT_TIME / self._urgent)), MAX_URGENT)

    def background_members(self, urgent: int, waited: float) -> int:
        """How many background members a batch with `urgent` urgent ones may have, if the oldest
        waiting one has waited for `waited` seconds."""
        if not urgent or not self._background:
            return MAX_BACKGROUND
        share = SHARE if waited <= LATE else LATE_SHARE
        members = int(share * urgent * self._urgent / self._background)
        return max(MIN_BACKGROUND, min(members, MAX_BACKGROUND))


def reserved_for_bulk(background: int, waiting: int) -> int:
    """How many of the `background` places to reserve for bulk work, of which `waiting` members
    wait. Places that steps of jobs leave free are added to them."""
    return min(waiting, max(1, int(background * BULK_SHARE)))
