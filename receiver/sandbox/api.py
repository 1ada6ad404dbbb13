"""What the APIs of all providers share: the jobs, the key, the faults of each call."""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.json_text import UnreadableJson, decode, parse
from receiver.providers.parsing import clean
from receiver.sandbox.jobs import Callback, Jobs, JobState, SandboxJob

RETRY_AFTER_SECONDS = 1

Body: TypeAlias = Mapping[str, Any]


class SandboxApi(ABC):
    """The API of one provider."""

    schemes: ClassVar[Sequence[str]] = ()
    """The schemes, in lower case, with which the Authorization header may send the key."""

    def __init__(self, jobs: Jobs, *, api_key: str | None = None) -> None:
        """`api_key` is the only accepted key; None accepts any that is not empty."""
        self._jobs = jobs
        self._api_key = api_key

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """The routes of its calls."""

    @abstractmethod
    def callback(self, job: SandboxJob, state: JobState) -> Callback | None:
        """The webhook for this state of a job; None if the provider sends none."""

    @abstractmethod
    def refusal(self, status_code: int, detail: str) -> Body:
        """The body of an error."""

    # --- for the calls ----------------------------------------------------------------------------

    def call(
        self, method: str, path: str, answer: Callable[[Request], Awaitable[Response]]
    ) -> Route:
        """The route of a call that requires the key."""

        async def authenticated(request: Request) -> Response:
            self.authenticate(request)
            return await answer(request)

        return Route(path, authenticated, methods=[method])

    def submission(
        self,
        path: str,
        submit: Callable[[Request], Awaitable[tuple[SandboxJob, Body]]],
        status_code: int = 200,
    ) -> Route:
        """The route of a call that creates a job, and whose faults are planned. `submit` returns
        the job and the body of the answer."""

        async def answer(request: Request) -> Response:
            ordinal = self._jobs.counts["submissions"]
            self._jobs.counts["submissions"] += 1
            self._refuse_if_busy("submissions", ordinal)
            if self._jobs.faults.is_broken(ordinal):
                raise HTTPException(500, "Internal server error")
            job, body = await submit(request)
            match job.plan.answer:
                case "accepted":
                    return JSONResponse(body, status_code)
                case "error":
                    raise HTTPException(500, "Internal server error")
                case "never":
                    # Until the client gives up, or the server closes the connection at shutdown.
                    while (await request.receive())["type"] != "http.disconnect":
                        continue
                    return Response()

        return self.call("POST", path, answer)

    def authenticate(self, request: Request) -> None:
        """Require the key. Raises HTTPException."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in self.schemes or not self.accepts(key):
            raise HTTPException(401, "Authentication is required.")

    def accepts(self, key: str) -> bool:
        if self._api_key is None:
            return bool(key)
        return hmac.compare_digest(key.encode(), self._api_key.encode())

    def begin_status(self, request_id: str) -> SandboxJob:
        """Find a job, and count a status call for it. Raises HTTPException 404 (not counted), or if
        a fault is planned for the call."""
        job = self.find(request_id)
        self._jobs.counts["status_calls"] += 1
        job.status_calls += 1
        # Counted per job: how often other jobs are polled must not change this one's plan.
        self._refuse_if_busy(f"status/{job.record.ordinal}", job.status_calls - 1)
        return job

    def find(self, request_id: str) -> SandboxJob:
        """A job by its id. Raises HTTPException 404."""
        if request_id not in self._jobs.by_id:
            raise HTTPException(404, "Request not found.")
        return self._jobs.by_id[request_id]

    def _refuse_if_busy(self, caller: str, call: int) -> None:
        busy = self._jobs.faults.busy_status(caller, call)
        if busy is not None:
            raise HTTPException(busy, "Too busy", {"Retry-After": str(RETRY_AFTER_SECONDS)})


MakeApi: TypeAlias = Callable[[Jobs], SandboxApi]


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body. Raises HTTPException 400."""
    try:
        body = clean(parse(decode(await request.body())))
    except UnreadableJson:
        raise HTTPException(400, "Body is not valid JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "Body is not a JSON object")
    return body
