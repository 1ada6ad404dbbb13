"""The provider is called first, and the step to `submitting` is written beside it."""

from unittest.mock import patch

from receiver.domain.observations import SubmissionBegins
from receiver.workers.submitter import Submitter
from store.records import Job
from tests.simulation.known_bad.variant import Variant

_begin = Submitter._begin


async def _do_not_wait(self: Submitter, job: Job, begins: SubmissionBegins) -> bool:
    self._task_pool.begin(_discard(self, job, begins), "begin")
    return True


async def _discard(self: Submitter, job: Job, begins: SubmissionBegins) -> None:
    await _begin(self, job, begins)


VARIANT = Variant(
    lambda: patch.object(Submitter, "_begin", _do_not_wait),
    caught_by=(
        "submitting is committed before the first byte",
        "each attempt is committed before it is made",
    ),
    first=19,
)
