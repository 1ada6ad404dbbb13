"""`POST /v1/jobs`."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.request import parse_http_list

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import event_data
from receiver.engine.new_job import JobRequest
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.creating import Creation
from receiver.http_api.errors import Problem, storage_unavailable
from receiver.http_api.responses import JSON
from receiver.http_api.validation import read_job
from store.errors import StoreUnavailable
from store.idempotency import Replay, StoredResponse
from store.records.jobs import Job

MAX_WAIT_SECONDS: Final = 60

_WAIT: Final = re.compile(r'wait\s*=\s*"?([0-9]+)"?', re.IGNORECASE)


async def create_job(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Submit a job."""
    return await _JobCreation(context, request, caller, preferred_wait(request)).respond()


class _JobCreation(Creation):
    """Answers with the job's document: at once, or with `Prefer: wait=N` when the job is done or
    the time is over."""

    def read(self, body: Mapping[str, Any]) -> JobRequest:
        return read_job(self.context, body)

    def is_settled(self, job: Job) -> bool:
        return job.done

    async def response(self, job: Job, document: bytes | None = None) -> StoredResponse:
        root = self.context.settings.root
        headers = {"Content-Type": JSON, "Location": f"{root}/v1/jobs/{job.id}"}
        if self.wait is not None:
            headers["Preference-Applied"] = f"wait={self.wait:g}"
        return StoredResponse(202, headers, document or event_data(job, root))

    async def rebuild_response(self, replay: Replay) -> StoredResponse:
        try:
            job = await self.context.services.store.jobs.find(replay.job_id)
        except StoreUnavailable as error:
            raise storage_unavailable(
                "The job exists but cannot be read now."
                " Please retry with the same Idempotency-Key.",
                request_id=replay.job_id,
            ) from error
        if job is None:
            raise removed(replay.job_id)
        return await self.response(job)


def removed(job_id: str) -> Problem:
    """The problem for a replay whose job is not kept any more."""
    return Problem(
        410,
        "job_removed",
        "The job of this Idempotency-Key was finished and has been removed.",
        members={"request_id": job_id},
    )


def preferred_wait(request: Request) -> int | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), at most 60; None without a usable one."""
    for preference in parse_http_list(",".join(request.headers.getlist("prefer"))):
        if match := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            return min(int(match[1][:9]), MAX_WAIT_SECONDS)
    return None
