"""Shared by the routes for clients that speak the API of Replicate or fal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from receiver.engine.cancel_job import JobFinished, cancel_job
from receiver.engine.new_job import JobRequest
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.create_job import removed
from receiver.http_api.creating import Creation
from receiver.http_api.errors import Problem
from receiver.http_api.idempotency import KEY_LIFETIME
from receiver.http_api.validation import pointer, url_faults
from receiver.upstream.contract import MAX_KIND, InputFault
from receiver.upstream.shapes import JobView, view_of
from store.idempotency import Replay, StoredResponse
from store.records.jobs import Job, Status
from store.records.times import Millis
from store.rows import to_json

_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class ClientApi:
    """A provider's own API, as its clients call it here."""

    name: str
    """The provider's; `Job.source` of the jobs that its clients create."""
    path: str
    """Where it is served, ending in a slash."""
    output_of: Callable[[str | None, Mapping[str, Any] | None], str]
    """The output, as the provider gave it: JSON, from the JSON of a stored result and the job's
    `details`."""

    @property
    def providers(self) -> tuple[str, str]:
        """The names of the providers with this API: the real one, which goes first, and its
        simulated twin."""
        return self.name, f"sandbox-{self.name}"

    def provider(self, context: ApiContext) -> str:
        """The provider behind these routes, which are served only if one runs."""
        return next(name for name in self.providers if name in context.services.providers)

    def base_url(self, context: ApiContext, request: Request) -> str:
        """Where the client reaches this API: with the scheme and host that it used."""
        root = context.settings.root
        return _origin(context.settings.public_url.removesuffix(root), request) + root + self.path

    def own_job(self, caller: Caller, job: Job | None) -> Job:
        """The job, if it is one of this API's providers and the caller may read it. Raises Problem
        404."""
        return caller.readable(job if job and job.provider in self.providers else None)

    async def view(
        self, context: ApiContext, caller: Caller, job: Job, job_input: str = "{}"
    ) -> JobView:
        """The job with its whole result. `job_input` is JSON."""
        result = None
        if job.status is Status.COMPLETED and job.result is not None:
            if job.result.get("truncated") is not True:
                result = to_json(job.result)
            else:  # the whole can be megabytes: each user's are read one by one
                async with context.long_read_locks.of(caller.user_id):
                    result = await context.services.store.jobs.result_of(job.id)
        return view_of(job, job_input, self.output_of(result, job.details))


def _origin(public: str, request: Request) -> str:
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        return public
    if public.removeprefix("https://") == host:
        return public
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return f"{forwarded if forwarded == 'https' else request.url.scheme}://{host}"


async def cancel(context: ApiContext, caller: Caller, job: Job) -> Job | None:
    """Cancel the caller's job; None if it has already finished. Raises Problem 403."""
    if job.user_id != caller.user_id:
        raise Problem(
            403, "not_your_job", "An admin key can read other users' jobs, not cancel them."
        )
    try:
        return await cancel_job(context.services, job.id)
    except JobFinished:
        return None


def invalid(name: str, detail: str, title: str = "Input validation failed") -> Problem:
    """The problem for an invalid submission, as these providers refuse it; `name` is a member."""
    fault = InputFault(pointer(name), detail)
    return Problem(422, "invalid_request", detail, faults=[fault], members={"title": title})


@dataclass
class ClientCreation(Creation):
    """A repeat of a request that still waits is not refused, but waits too."""

    api: ClientApi

    def key_in_use(self) -> Millis:
        return -KEY_LIFETIME  # never, not even by a clock that is behind

    def is_settled(self, job: Job) -> bool:
        return job.done

    async def rebuild_response(self, replay: Replay) -> StoredResponse:
        job = await self.find(replay.job_id)
        if job is None:
            raise removed(replay.job_id)
        return await self.response(await self.wait_for(job))

    def job_request(
        self,
        named: tuple[str, str],
        job_input: Mapping[str, Any],
        webhook: tuple[str, Any],
        events: tuple[str, ...],
    ) -> JobRequest:
        """A checked request. `named` and `webhook` are what the client calls the kind and the
        webhook's address, and their values.

        Raises:
            Problem: 422.
        """
        name, kind = named
        provider = self.api.provider(self.context)
        wrong = self.context.services.providers[provider].check_kind(kind)
        if wrong or len(kind) > MAX_KIND:
            rule = wrong or f"kind must have at most {MAX_KIND} characters."
            detail = name + rule.removeprefix("kind")
            raise invalid(name, detail, f"Invalid {name} or not permitted")
        name, url = webhook
        for fault in () if url is None else url_faults(self.context, name, url):
            raise invalid(name, fault.detail)
        return JobRequest(
            provider=provider,
            kind=kind,
            input=job_input,
            webhook_url=url,
            webhook_events=events,
            metadata={},
            source=self.api.name,
        )


async def not_served(_context: ApiContext, _request: Request) -> Response:
    """A part of the provider's API that is not about jobs."""
    raise Problem(
        501,
        "not_served",
        "Only predictions are served here. For everything else, call the provider itself, with its"
        " own key.",
        headers={"x-should-retry": "false"},
    )
