"""The routes below `/v1/jobs`, except those in create_job.py and events.py."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from math import ceil, floor
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from receiver.domain import documents
from receiver.domain.results import links_of
from receiver.domain.serialization import compact_json, job_document, timestamp
from receiver.engine.cancel_job import cancel_job as cancel
from receiver.engine.waiting import waiting
from receiver.http_api import queries
from receiver.http_api.archived import archived_file, read_file_number, redirect
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem, bad_query
from receiver.http_api.responses import JSON, etag_matches, json_response, list_response
from receiver.telemetry.logs import redact
from receiver.upstream.contract import MAX_KIND
from store.job_reads import HistoryLine, JobFilter
from store.records.jobs import Job, Status

RAW_BODY = 2_048
"""Maximum characters that a history shows of a callback's body. (The store returns the first 3,072
bytes.)"""

_LATER_MEMBERS: Final[dict[str, Any]] = {"label": None, "cost": None, "archive": []}
"""Members of a job that events of earlier versions lack."""


async def readable_job(context: ApiContext, caller: Caller, job_id: str) -> Job:
    """The caller's own job, or any for an admin. Raises Problem 404."""
    return caller.readable(await context.services.store.jobs.find(job_id))


async def show_job(context: ApiContext, request: Request, caller: Caller) -> Response:
    """One job."""
    job = await readable_job(context, caller, request.path_params["job_id"])
    reason = await waiting(context.services, context.submissions, job)
    document = compact_json({**job_document(job, context.settings.root), "waiting": reason})
    # A hash of the document, not `seq`: a link is renewed without an event. The input changes only
    # with the document.
    tag = f'"{blake2b(document, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if not job.done:
        headers["Retry-After"] = str(max(1, round(context.settings.poll_min)))
    if etag_matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    # Not parsed: to parse a large input would block the event loop.
    text = (await context.services.store.jobs.input_of(job.id) or "null").encode("ascii")
    return Response(b'%b,"input":%b}' % (document[:-1], text), headers=headers, media_type=JSON)


async def list_jobs(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Jobs, newest first."""
    page = await queries.read_page(
        *(context, request, caller, "jobs"),
        *("status", "kind", "provider", "q", "created_after", "created_before"),
        *(f"{queries.METADATA}KEY", *queries.PAGE, "user"),
    )
    where = _read_filter(context, request)
    jobs = context.services.store.jobs
    found, last = await jobs.list_page(page.user_id, where, page.after, page.limit)
    root = context.settings.root
    return await page.response((job_document(job, root) for job in found), last)


async def job_history(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Everything that happened to a job, oldest first."""
    job = await readable_job(context, caller, request.path_params["job_id"])
    history = await context.services.store.jobs.history_of(job.id)
    return await list_response("history", _history_documents(job, history))


def _history_documents(job: Job, history: Iterable[HistoryLine]) -> Iterator[dict[str, Any]]:
    """The lines as the API shows them. The first, the creation, tells by which API it came."""
    source = {"source": job.source or "api"}
    for line in history:
        shown = {"at": timestamp(line.at), "type": line.type, **line.detail, **source}
        source = {}
        if line.type == "event":
            shown["job"] = _LATER_MEMBERS | shown["job"]
        if (body := shown.get("body")) is not None:
            # Redact first: a provider may quote a secret that the limit would cut in two.
            shown["body"] = redact(body)[:RAW_BODY]
        yield shown


async def job_result(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Get the result itself."""
    job = await readable_job(context, caller, request.path_params["job_id"])
    number = read_file_number(request)
    if (answer := await archived_file(context, request, job, number or 1)) is not None:
        return answer
    job = await context.renewals.renew(job)
    if job.result is None:
        raise Problem(409, "no_result", f"There is no result: the job is {job.status}.")
    if job.result.get("truncated") is not True:
        return _link_or_whole(job.result, number)
    # The whole result can be megabytes: each user's are read one by one, and encoded in a thread.
    async with context.long_read_locks.of(caller.user_id):
        if await request.is_disconnected():
            raise ClientDisconnect
        whole = await context.services.store.jobs.result_of(job.id) or "{}"
        return await asyncio.to_thread(lambda: _link_or_whole(json.loads(whole), number))


def _link_or_whole(result: Mapping[str, Any], number: int | None) -> Response:
    """A redirect to the result's only link, or to the one with the number; without a number, the
    whole result as JSON if it has several links or none. Raises Problem 404."""
    links = links_of(result)
    if number is not None and number > len(links):
        raise Problem(404, "no_such_file", f"The result has {len(links)} files.")
    if number is not None or len(links) == 1:
        return redirect(links[(number or 1) - 1])
    return json_response(result)


async def cancel_job(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Cancel a job."""
    job = await readable_job(context, caller, request.path_params["job_id"])
    if job.user_id != caller.user_id:
        raise Problem(
            403, "not_your_job", "An admin key can read other users' jobs, not cancel them."
        )
    canceled = await cancel(context.services, job.id)
    return json_response(job_document(canceled, context.settings.root), 202)


def _read_filter(context: ApiContext, request: Request) -> JobFilter:
    known = context.services.known_kinds
    query = request.query_params
    kind = query.get("kind")
    # There may be jobs of providers that do not run here any more.
    if kind is not None and all(wrong(kind[:MAX_KIND]) for wrong in known.values()):
        raise bad_query("kind", "is not a kind of any provider")
    label = query.get("q") or None
    if label is not None and len(label) > documents.LABEL_CHARACTERS:
        raise bad_query(
            "q", f"must have at most {documents.LABEL_CHARACTERS} characters, as labels do"
        )
    return replace(
        read_time_filter(request),
        label=label,
        status=queries.read_choice(request, "status", Status),
        kind=kind,
        provider=queries.read_choice(request, "provider", known),
        metadata=queries.read_metadata(request),
    )


def read_time_filter(request: Request) -> JobFilter:
    """The filter by `created_after` and `created_before`. Both are exclusive, and the store has
    whole milliseconds. Raises Problem 400."""
    return JobFilter(
        created_after=queries.read_time(request, "created_after", floor),
        created_before=queries.read_time(request, "created_before", ceil),
    )
