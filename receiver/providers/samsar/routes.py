"""Samsar's own API, served by us: its clients change only the base URL and the key."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import compact_json, job_document, status_document
from receiver.engine.context import ServiceContext
from receiver.engine.new_job import JobRequest
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.creating import Creation
from receiver.http_api.credentials import KEY, KEY_WITHOUT_RATE_LIMIT, Operation
from receiver.http_api.errors import CONTENT_TYPE, Problem
from receiver.http_api.responses import JSON, json_response
from receiver.http_api.validation import misspelt_members, read_submission
from store.database import Store
from store.idempotency import Replay, StoredResponse
from store.records.jobs import ErrorCode, Job, Phase

log = structlog.get_logger()

_PROVIDERS: Final = ("samsar", "sandbox")
"""The providers with this API: the real one, and its simulated twin."""


async def create_movie(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Create a movie from one prompt."""
    return await _create(context, request, caller, "create_movie")


async def create_narrative(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Create a movie from several lines."""
    return await _create(context, request, caller, "create_narrative")


async def _create(context: ApiContext, request: Request, caller: Caller, kind: str) -> Response:
    wait, provider = context.settings.submit_wait, _provider(context.services)
    creation = _ProviderApiCreation(context, request, caller, wait, provider, kind)
    response = await creation.respond()
    if creation.warning:
        log.warning(
            "a submission has a misspelt member", user=caller.user, warning=creation.warning
        )
        response.headers["X-Receiver-Warning"] = creation.warning
    return response


@dataclass
class _ProviderApiCreation(Creation):
    """Answers when the provider has answered or `submit_wait` is over: with the job's id, or with
    the provider's refusal."""

    provider: str
    kind: str
    warning: str = ""
    """About members of the body that are dropped and look misspelt."""

    def read(self, body: Mapping[str, Any]) -> JobRequest:
        self.warning = misspelt_members(body)
        given = read_submission(self.context, self.provider, self.kind, body)
        return replace(given, source="samsar")

    def is_settled(self, job: Job) -> bool:
        return job.phase not in (Phase.QUEUED, Phase.SUBMITTING)

    async def response(self, job: Job, document: bytes | None = None) -> StoredResponse:
        """A provider's refusal with its status and message (502 if it rejects the operator's key);
        otherwise, the job is accepted."""
        if job.error is None or job.refused_with is None:
            return _accepted(job.id)
        credentials = job.error.code is ErrorCode.PROVIDER_CREDENTIALS
        problem = Problem(
            502 if credentials else job.refused_with,
            job.error.code,
            job.error.message,
            members={"request_id": job.id},
        )
        content = compact_json(problem.document())
        return StoredResponse(problem.status, {"Content-Type": CONTENT_TYPE}, content)

    async def rebuild_response(self, replay: Replay) -> StoredResponse:
        """Only the id, if the job has been removed or cannot be read now."""
        job = await self.find(replay.job_id)
        return _accepted(replay.job_id) if job is None else await self.response(job)


def _accepted(job_id: str) -> StoredResponse:
    return StoredResponse(200, {"Content-Type": JSON}, compact_json({"request_id": job_id}))


def _provider(services: ServiceContext) -> str:
    """The provider behind these routes, which are served only if one runs. If both run, the default
    provider if it is one of them, else Samsar."""
    fitting = services.providers.keys() & set(_PROVIDERS)
    return next(name for name in (services.default_provider, *_PROVIDERS) if name in fitting)


async def status(context: ApiContext, request: Request, caller: Caller) -> Response:
    """A job's status, in the form of the provider's API."""
    request_id = request.query_params.get("request_id")
    if not request_id:
        raise Problem(400, "request_id_missing", "taskId query parameter is missing.")
    job = await _find(context.services.store, request_id)
    return json_response(status_document(job_document(caller.readable(job), context.settings.root)))


async def _find(store: Store, request_id: str) -> Job | None:
    """The job by our id or by the provider's; None if it is another provider's."""
    job = await store.jobs.find(request_id)
    for name in _PROVIDERS:
        job = job or await store.jobs.find_by_provider_id(name, request_id)
    return job if job and job.provider in _PROVIDERS else None


ROUTES: Final[tuple[Operation[Any], ...]] = (
    Operation("POST", "/v1/video/create_movie", KEY, create_movie),
    Operation("POST", "/v1/video/create_narrative", KEY, create_narrative),
    Operation("GET", "/v1/video/status", KEY_WITHOUT_RATE_LIMIT, status),
)
