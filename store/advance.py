"""Changes jobs, several at a time, inside the caller's transaction.

`JobWriter.change` reads the jobs' rows and their waiting callbacks, calls `decide` for each job,
and writes all moves together (moves.py). A change that fails before that fails alone. If the
writing fails, the group of changes is undone and run again in parts (`store.session.Batchable`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from store.changes import Effects
from store.errors import NotApplied, NotFound, ProviderIdTaken
from store.moves import Decided, MoveWriter
from store.records.callbacks import Callback
from store.records.jobs import Job
from store.records.moves import DecideCallbacks, Move
from store.records.times import Lease
from store.rows import holder_in, job_from_row
from store.session import Done, Failed, Outcome, Row, Session
from store.sql import MultiRowStatement
from store.table import Backend

JOB_BYTES = 256 * 1024
"""Maximum size of the callback bodies applied to one job at once; the first is always applied."""
GROUP_BYTES = 1024 * 1024
"""The same for all jobs of a group. The remaining jobs wait for a later batch."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of applying a job's waiting callbacks."""

    job: Job
    """The job afterwards."""
    move: Move | None
    left: bool
    """Whether more callbacks are waiting: not all of them fit in one transaction."""


@dataclass(frozen=True, slots=True)
class Change:
    """One job, and the function that decides its change."""

    job_id: str
    decide: DecideCallbacks
    callbacks: int = 0
    """The maximum number of waiting callbacks to apply; 0 if the change is not about callbacks."""
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The callbacks of one job to apply now."""

    callbacks: Sequence[Callback] = ()
    left: bool = False


class JobWriter:
    """Changes jobs within the caller's transactions."""

    def __init__(self, backend: Backend) -> None:
        sql = backend.statements.load("jobs")
        self.moves = MoveWriter(backend)
        self._rows = MultiRowStatement(sql["look-jobs-up"])
        self._holders = MultiRowStatement(sql["read-provider-id-holders"])
        self._waiting = MultiRowStatement(sql["read-waiting"])
        self._bodies = MultiRowStatement(sql["read-bodies"])

    def read(self, session: Session, job_ids: Iterable[str]) -> list[Job]:
        """Read the jobs, in the given order."""
        wanted = list(job_ids)
        rows = self._read_rows(session, wanted)
        return [job_from_row(rows[job_id]) for job_id in wanted]

    def change(
        self, session: Session, effects: Effects, changes: Sequence[Change]
    ) -> Sequence[Outcome[Applied]]:
        """Read each job, call its `decide`, and write the moves (see `Jobs.advance`)."""
        outcomes: dict[int, Outcome[Applied]] = {}
        for places in rounds([change.job_id for change in changes]):
            some = {place: changes[place] for place in places}
            outcomes |= self._change_each(session, effects, some)
        return [outcomes[place] for place in range(len(changes))]

    def _change_each(
        self, session: Session, effects: Effects, changes: Mapping[int, Change]
    ) -> dict[int, Outcome[Applied]]:
        rows = self._read_rows(session, [change.job_id for change in changes.values()])
        waiting = self._read_waiting(session, changes.values())
        outcomes: dict[int, Outcome[Applied]] = {}
        decided: dict[int, Decided] = {}
        for place, change in changes.items():
            callbacks = waiting.get(change.job_id, _Waiting())
            found = _decide(rows.get(change.job_id), change, callbacks)
            if isinstance(found, Decided):
                decided[place] = found
            else:
                outcomes[place] = found
        for place, taken in self._taken(session, decided):
            del decided[place]
            outcomes[place] = Failed(ProviderIdTaken(taken))
        self.moves.write(session, effects, list(decided.values()))
        for place, each in decided.items():
            outcomes[place] = Done(Applied(each.move.job, each.move, each.left))
        for place, outcome in outcomes.items():
            if changes[place].callbacks and isinstance(outcome, Done) and not outcome.value.left:
                effects.applied.add(changes[place].job_id)
        return outcomes

    def _read_rows(self, session: Session, job_ids: Sequence[str]) -> dict[str, Row]:
        keys = [{"key": job_id} for job_id in job_ids]
        return {row[0]: row for result in self._rows.run(session, keys) for row in result}

    def _read_waiting(
        self, session: Session, changes: Collection[Change]
    ) -> Mapping[str, _Waiting]:
        """By job: the callbacks to apply, within the limits on their bodies' size."""
        most = {change.job_id: change.callbacks for change in changes if change.callbacks}
        if not most:
            return {}
        by_job: dict[str, list[Row]] = {}
        keys = [{"job_id": job_id} for job_id in most]
        for result in self._waiting.run(session, keys):
            for row in result:
                by_job.setdefault(row[1], []).append(row)
        room = GROUP_BYTES
        chosen: dict[str, list[Row]] = {}
        for job_id, found in by_job.items():
            some = list(_fitting(found[: most[job_id]], min(room, JOB_BYTES)))
            if room <= 0:
                some = []
            room -= sum(size for *_, size in some)
            chosen[job_id] = some
        wanted = [{"id": id_} for some in chosen.values() for id_, *_ in some]
        bodies = {id_: body for result in self._bodies.run(session, wanted) for id_, body in result}
        return {
            job_id: _Waiting(
                [_callback(row, bodies) for row in some], left=len(some) < len(by_job[job_id])
            )
            for job_id, some in chosen.items()
        }

    def _taken(self, session: Session, decided: Mapping[int, Decided]) -> list[tuple[int, str]]:
        """The moves that give the job an id that another job of the provider holds.

        Checked first, although a unique index enforces it: a failing statement would abort the
        transaction and with it the whole batch.
        """
        wanted = {
            place: (each.before.provider, each.new_provider_id)
            for place, each in decided.items()
            if each.new_provider_id is not None
        }
        keys = [{"provider": name, "provider_request_id": id_} for name, id_ in wanted.values()]
        held = {tuple(row) for result in self._holders.run(session, keys) for row in result}
        taken = []
        for place, (name, id_) in wanted.items():
            if (name, id_) in held:
                taken.append((place, str(id_)))
            held.add((name, id_))
        return taken


def rounds(job_ids: Sequence[str]) -> Iterator[list[int]]:
    """Split the positions into rounds, in order, so that no round has the same job twice."""
    waiting = list(range(len(job_ids)))
    while waiting:
        firsts: dict[str, int] = {}
        later = [p for p in waiting if firsts.setdefault(job_ids[p], p) != p]
        yield list(firsts.values())
        waiting = later


def _decide(row: Row | None, change: Change, waiting: _Waiting) -> Decided | Outcome[Applied]:
    if row is None:
        return Failed(NotFound(change.job_id))
    before = job_from_row(row)
    if change.callbacks and not waiting.callbacks:
        # Already applied by another worker, or over this group's size limit.
        return Done(Applied(before, None, waiting.left))
    try:
        move = change.decide(before, waiting.callbacks)
    except Exception as error:  # noqa: BLE001 - reported to the caller; nothing is written yet
        return Failed(_not_applied(error, waiting))
    if move is None:
        return Done(Applied(before, None, waiting.left))
    return Decided(before, move, holder_in(row), change.lease, waiting.left)


def _not_applied(error: Exception, waiting: _Waiting) -> Exception:
    if not waiting.callbacks:
        return error
    failure = NotApplied([callback.id for callback in waiting.callbacks])
    failure.__cause__ = error
    return failure


def _fitting(rows: Sequence[Row], room: int) -> Iterator[Row]:
    """The first row, and the following ones while their bodies fit."""
    taken = 0
    for row in rows:
        taken += row[-1]
        if taken > room and row is not rows[0]:
            return
        yield row


def _callback(row: Row, bodies: Mapping[int, bytes]) -> Callback:
    id_, job_id, provider, received_at, tries, verified, _ = row
    return Callback(id_, job_id, provider, received_at, bodies[id_], tries, bool(verified))
