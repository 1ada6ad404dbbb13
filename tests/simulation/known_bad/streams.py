"""Variants whose event streams show uncommitted data, or lose their place."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from receiver.streams import frames
from receiver.streams.broadcast import Broadcast
from receiver.streams.reader import Reader
from store.job_writer import JobWriter
from store.records.jobs import Job
from tests.simulation.known_bad.variant import Patch, instead_of, together, variant

PREFIX = "a stream is a prefix of the truth"


@variant(PREFIX, first=1)
def told_before_commit() -> Patch:
    """Streams get an event within the transaction that writes it, before its commit."""
    make, append = Broadcast.__init__, JobWriter.append_event
    broadcasts: list[Broadcast] = []

    def remember(self: Broadcast, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        broadcasts[:] = [self]

    def append_and_push(self: JobWriter, db: Any, notice: Any, *given: Any) -> None:
        append(self, db, notice, *given)
        for user_id, theirs in notice.appended.items():
            for broadcast in broadcasts:
                channel = broadcast._channels.get(user_id)
                if channel is not None:
                    channel.push(theirs[-1])

    return together(
        patch.object(Broadcast, "__init__", remember),
        patch.object(JobWriter, "append_event", append_and_push),
    )


@variant(PREFIX, first=1)
@instead_of(Reader, "__init__")
def stream_resumed_one_early(make: Any, self: Reader, *given: Any, **named: Any) -> None:
    """A resumed stream begins with the event that the client saw last."""
    make(self, *given, **named)
    self.written_seq = max(0, self.written_seq - 1)


@variant("done has no cursor", seeds=60, first=10)
@instead_of(frames, "done")
def cursor_on_control_frames(done: Callable[[Job], bytes], job: Job) -> bytes:
    """`done` carries an id, which moves a client's cursor past events that it has not seen."""
    return b"id: %d.x\n" % job.seq + done(job)


@variant("done comes after everything", first=10)
@instead_of(Broadcast, "_catch_up")
async def done_before_the_rest(catch_up: Any, self: Broadcast, reader: Reader, *given: Any) -> bool:
    """`done` is sent as soon as the job has ended, even if the client lacks earlier events."""
    job = reader.job_id and await self._store.jobs.find(reader.job_id)
    return not (job and job.done) and await catch_up(self, reader, *given)
