"""Variants whose event streams show uncommitted data, or lose their place."""

from typing import Any
from unittest.mock import patch

from receiver.streams import frames
from receiver.streams.broadcast import Broadcast
from receiver.streams.reader import Reader
from store.records.events import Event
from store.records.jobs import Job
from store.sqlite import batches
from tests.simulation.known_bad.variant import Patch, together, variant

PREFIX = "a stream is a prefix of the truth"


@variant(PREFIX, first=1)
def told_before_commit() -> Patch:
    """Streams get an event within the transaction that writes it, before its commit."""
    make, append = Broadcast.__init__, batches._append
    broadcasts: list[Broadcast] = []

    def remember(self: Broadcast, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        broadcasts[:] = [self]

    def append_and_push(db: Any, events: Any) -> dict[int, list[Event]]:
        appended = append(db, events)
        for user_id, theirs in appended.items():
            for broadcast in broadcasts:
                channel = broadcast._channels.get(user_id)
                for event in theirs:
                    if channel is not None:
                        channel.push(event)
        return appended

    return together(
        patch.object(Broadcast, "__init__", remember),
        patch.object(batches, "_append", append_and_push),
    )


@variant(PREFIX, first=1)
def stream_resumed_one_early() -> Patch:
    """A resumed stream begins with the event that the client saw last."""
    make = Reader.__init__

    def one_early(self: Reader, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        self.written_seq = max(0, self.written_seq - 1)

    return patch.object(Reader, "__init__", one_early)


@variant("done has no cursor", seeds=60, first=10)
def cursor_on_control_frames() -> Patch:
    """`done` carries an id, which moves a client's cursor past events that it has not seen."""
    done = frames.done

    def with_id(job: Job) -> bytes:
        return b"id: %d.x\n" % job.seq + done(job)

    return patch.object(frames, "done", with_id)


@variant("done comes after everything", first=10)
def done_before_the_rest() -> Patch:
    """`done` is sent as soon as the job has ended, even if the client lacks earlier events."""
    catch_up = Broadcast._catch_up

    async def without_an_ended_job(self: Broadcast, reader: Reader, *given: Any) -> bool:
        job = reader.job_id and await self._store.jobs.find(reader.job_id)
        return not (job and job.done) and await catch_up(self, reader, *given)

    return patch.object(Broadcast, "_catch_up", without_an_ended_job)
