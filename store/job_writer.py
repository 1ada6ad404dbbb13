"""Changes jobs, several at a time, inside the caller's transaction.

`JobWriter.change` reads the jobs' rows and their waiting callbacks, calls `decide` for each job,
and writes all moves together (move_writer.py). A change that fails before the writing fails alone.
If the writing fails, the group of changes is rolled back and run again in parts
(`store.session.Batchable`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from store.changes import Effects
from store.errors import NotApplied, NotFound, ProviderIdTaken
from store.move_writer import Decided, MoveWriter
from store.records.callbacks import Callback
from store.records.jobs import Job
from store.records.moves import DecideCallbacks, Move
from store.records.times import Lease
from store.rows import holder_in, job_from_row
from store.session import Done, Failed, Outcome, Row, Session
from store.sql import read_rows

JOB_BYTES = 256 * 1024
"""Maximum size of the callback bodies applied to one job at once; a single body may be larger."""
GROUP_BYTES = 1024 * 1024
"""The same for all jobs of a group. The callbacks of the remaining jobs wait for a later change."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of applying a job's waiting callbacks."""

    job: Job
    """The job afterwards."""
    move: Move | None
    has_more: bool
    """Whether more callbacks are waiting: not all of them were within the limits of one change."""
    is_leased: bool = False
    """Whether the job has become due for confirmation, with the caller's lease."""


@dataclass(frozen=True, slots=True)
class Change:
    """One job, and the function that decides its change."""

    job_id: str
    decide: DecideCallbacks
    max_callbacks: int = 0
    """The maximum number of waiting callbacks to apply; 0 if the change is not about callbacks."""
    lease: Lease | None = None


class _Stored(NamedTuple):
    """A waiting callback that has not been read yet."""

    id: int
    size: int
    """Of its body."""


class _Waiting(NamedTuple):
    """The callbacks of one job to apply now."""

    callbacks: Sequence[Callback] = ()
    has_more: bool = False


_Found: TypeAlias = Decided | Outcome[Applied]
"""What became of a change so far: a move to be written, or already its outcome."""


class JobWriter(MoveWriter):
    def read_leased(self, session: Session, leased: Iterable[Row]) -> list[Job]:
        """Read leased jobs, earliest due first; the rows have the job's id and its due time."""
        job_ids = [job_id for _, job_id in sorted((at, job_id) for job_id, at in leased)]
        rows = self._read_rows(session, job_ids)
        return [job_from_row(rows[job_id]) for job_id in job_ids]

    def change(
        self, session: Session, effects: Effects, changes: Sequence[Change]
    ) -> Sequence[Outcome[Applied]]:
        """Read each job, call its `decide`, and write the moves (see `Jobs.advance`)."""
        outcomes: dict[int, Outcome[Applied]] = {}
        for indexes in rounds({index: change.job_id for index, change in enumerate(changes)}):
            some = self._change_different(session, effects, [changes[index] for index in indexes])
            outcomes.update(zip(indexes, some, strict=True))
        return [outcomes[index] for index in range(len(changes))]

    def _change_different(
        self, session: Session, effects: Effects, changes: Sequence[Change]
    ) -> list[Outcome[Applied]]:
        """Run changes of different jobs."""
        rows = self._read_rows(session, [change.job_id for change in changes])
        waiting = self._read_waiting(session, changes)
        found = {
            change.job_id: _decide(rows.get(change.job_id), change, waiting[change.job_id])
            for change in changes
        }
        found |= self._refuse_taken_ids(session, _decided_in(found))
        self.write(session, effects, _decided_in(found))
        outcomes: list[Outcome[Applied]] = []
        for change in changes:
            each, has_more = found[change.job_id], waiting[change.job_id].has_more
            if isinstance(each, Decided):
                is_leased = each.lease is not None and each.is_due_anew
                each = Done(Applied(each.move.job, each.move, has_more, is_leased))
            if change.max_callbacks and not has_more and isinstance(each, Done):
                effects.applied.add(change.job_id)
            outcomes.append(each)
        return outcomes

    def _read_rows(self, session: Session, job_ids: Sequence[str]) -> dict[str, Row]:
        keys = [{"key": job_id} for job_id in job_ids]
        return {row[0]: row for row in read_rows(session, self._jobs["read-jobs"], keys)}

    def _read_waiting(
        self, session: Session, changes: Collection[Change]
    ) -> Mapping[str, _Waiting]:
        """By job: the callbacks to apply, within the limits on their bodies' size."""
        most = {change.job_id: change.max_callbacks for change in changes if change.max_callbacks}
        stored: dict[str, list[_Stored]] = {}
        jobs = [{"job_id": job_id} for job_id in most]
        for job_id, *each in read_rows(session, self._jobs["read-waiting"], jobs):
            stored.setdefault(job_id, []).append(_Stored(*each))
        chosen = _choose(stored, most)
        wanted = [{"id": id_} for ids in chosen.values() for id_ in ids]
        rows = read_rows(session, self._jobs["read-callbacks"], wanted)
        callbacks = {row[0]: _callback(row) for row in rows}
        return {change.job_id: _Waiting() for change in changes} | {
            job_id: _Waiting(
                [callbacks[id_] for id_ in ids], has_more=len(ids) < len(stored[job_id])
            )
            for job_id, ids in chosen.items()
        }

    def _refuse_taken_ids(self, session: Session, decided: Sequence[Decided]) -> dict[str, _Found]:
        """By job: a failure, if its move gives it an id that another job of the provider has.

        Checked first, although a unique index enforces it: a failing statement would abort the
        transaction and with it the whole batch.
        """
        new_ids = {
            each.before.id: (each.before.provider, each.new_provider_id)
            for each in decided
            if each.new_provider_id is not None
        }
        keys = [{"provider": name, "provider_request_id": id_} for name, id_ in new_ids.values()]
        taken = set(read_rows(session, self._jobs["read-taken-provider-ids"], keys))
        refused: dict[str, _Found] = {}
        for job_id, new_id in new_ids.items():
            if new_id in taken:
                refused[job_id] = Failed(ProviderIdTaken(new_id[1]))
            taken.add(new_id)
        return refused


def rounds(jobs: Mapping[int, str]) -> Iterator[list[int]]:
    """Split the indexes of jobs into rounds, in order, so that no round has the same job twice."""
    waiting = dict(jobs)
    while waiting:
        first: dict[str, int] = {}
        for index, job_id in waiting.items():
            first.setdefault(job_id, index)
        yield list(first.values())
        for index in first.values():
            del waiting[index]


def _decided_in(found: Mapping[str, _Found]) -> list[Decided]:
    return [each for each in found.values() if isinstance(each, Decided)]


def _decide(row: Row | None, change: Change, waiting: _Waiting) -> _Found:
    if row is None:
        return Failed(NotFound(change.job_id))
    before = job_from_row(row)
    if change.max_callbacks and not waiting.callbacks:
        # Already applied by another worker, or over this group's size limit.
        return Done(Applied(before, None, waiting.has_more))
    try:
        move = change.decide(before, waiting.callbacks)
    except Exception as error:  # noqa: BLE001 - reported to the caller; nothing is written yet
        ids = [callback.id for callback in waiting.callbacks]
        return Failed(NotApplied(ids, error) if ids else error)
    if move is None:
        return Done(Applied(before, None, waiting.has_more))
    return Decided(before, move, holder_in(row), change.lease)


def _choose(
    stored: Mapping[str, Sequence[_Stored]], most: Mapping[str, int]
) -> dict[str, list[int]]:
    """By job: the ids of its oldest callbacks, at most `most`, while their bodies fit. Jobs get
    room in the order of `most`: in a batch, outcomes come before progress."""
    chosen: dict[str, list[int]] = {job_id: [] for job_id in most if job_id in stored}
    room = GROUP_BYTES
    for job_id, ids in chosen.items():
        limit = min(room, JOB_BYTES)
        for id_, size in stored[job_id][: most[job_id]] if room > 0 else ():
            limit -= size
            if ids and limit < 0:
                break
            ids.append(id_)
            room -= size
    return chosen


def _callback(row: Row) -> Callback:
    id_, job_id, provider, received_at, tries, verified, body = row
    return Callback(id_, job_id, provider, received_at, tries, bool(verified), body)
