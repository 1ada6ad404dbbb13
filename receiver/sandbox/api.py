"""What the sandboxes of all providers share: the jobs, the keys, the faults."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias, assert_never

import httpx
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.clock import Clock
from receiver.json_text import UnreadableJson
from receiver.providers.lenient_json import read_json
from receiver.sandbox.faults import Answer, FaultPlan
from receiver.sandbox.jobs import Callback, Jobs, JobState, SandboxJob

RETRY_AFTER_SECONDS = 1

Body: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Engine:
    """The jobs and the faults of each call, independent of the provider whose API is imitated."""

    jobs: Jobs
    faults: FaultPlan
    clock: Clock
    api_key: str | None
    """The only accepted key; None accepts any that is not empty."""

    def takes(self, key: str) -> bool:
        """Whether a key is accepted."""
        if self.api_key is None:
            return bool(key)
        return hmac.compare_digest(key.encode(), self.api_key.encode())

    def takes_authorization(self, request: Request, *schemes: str) -> bool:
        """Whether the Authorization header has an accepted key, after one of these words."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() in schemes and self.takes(key)

    def begin_submission(self) -> None:
        """Count an authenticated submission. Raises HTTPException if a fault is planned for it."""
        ordinal = self.jobs.submissions
        self.jobs.submissions += 1
        if (busy := self.faults.busy_status("submissions", ordinal)) is not None:
            _refuse_busy(busy)
        if self.faults.is_broken(ordinal):
            raise HTTPException(500, "Internal server error")

    async def end_submission(
        self, job: SandboxJob, request: Request, body: Body, status_code: int = 200
    ) -> Response:
        """Answer the submission that created a job, as its plan says."""
        match job.plan.answer:
            case Answer.ACCEPTED:
                return JSONResponse(body, status_code)
            case Answer.ERROR:
                raise HTTPException(500, "Internal server error")
            case Answer.NEVER:
                # Until the client gives up, or the server closes the connection at shutdown.
                while (await request.receive())["type"] != "http.disconnect":
                    continue
                return Response()
            case _:
                assert_never(job.plan.answer)

    def begin_status(self, request_id: str, detail: str = "Request not found.") -> SandboxJob:
        """Count a status call, and find its job. Raises HTTPException 404, or if a fault is planned
        for the call."""
        job = self.find(request_id, detail)
        job.status_calls += 1
        # Counted per job: how often other jobs are polled must not change this one's plan.
        busy = self.faults.busy_status(f"status/{job.record.ordinal}", job.status_calls - 1)
        if busy is not None:
            _refuse_busy(busy)
        return job

    def find(self, request_id: str, detail: str = "Request not found.") -> SandboxJob:
        """A job by its id. Raises HTTPException 404."""
        job = self.jobs.find(request_id)
        if job is None:
            raise HTTPException(404, detail)
        return job


class SandboxApi(Protocol):
    """The API of one provider."""

    path: str
    """The base path: a client's base URL is the origin followed by this."""

    def routes(self, engine: Engine) -> Sequence[Route]:
        """The routes of its calls."""
        ...

    def callback(
        self, job: SandboxJob, state: JobState, faults: FaultPlan, clock: Clock
    ) -> Callback | None:
        """The webhook for this state of a job; None if the provider sends none."""
        ...

    def refusal(self, status_code: int, detail: str) -> Body:
        """The body of an error."""
        ...


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body. Raises HTTPException 400."""
    try:
        body = read_json(await request.body())
    except UnreadableJson:
        raise HTTPException(400, "Body is not valid JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "Body is not a JSON object")
    return body


def read_webhook_url(given: object) -> str | None:
    """The webhook URL, None if there is none. Raises HTTPException 400."""
    if given is None or given == "":
        return None
    try:
        url = httpx.URL(str(given))
    except (httpx.InvalidURL, ValueError):
        raise HTTPException(400, "Webhook URL is invalid") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise HTTPException(400, "Webhook URL is invalid")
    return str(given)


def _refuse_busy(status_code: int) -> NoReturn:
    raise HTTPException(status_code, "Too busy", {"Retry-After": str(RETRY_AFTER_SECONDS)})
