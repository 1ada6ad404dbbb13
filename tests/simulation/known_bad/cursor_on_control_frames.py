"""`done` carries an id, which moves a client's cursor past what it has not seen."""

from unittest.mock import patch

from receiver.streams import frames
from store.records import Job
from tests.simulation.known_bad.variant import Variant

_done = frames.done


def _with_id(job: Job) -> bytes:
    return b"id: %d.x\n" % job.seq + _done(job)


VARIANT = Variant(
    lambda: patch.object(frames, "done", _with_id),
    caught_by=("done has no cursor",),
    seeds=60,
    first=10,
)
