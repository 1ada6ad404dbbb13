"""Jobs (contract 6)."""

import re
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from receiver.actions.cancel_job import JobFinished, cancel_job
from receiver.actions.renew_link import renew_link
from receiver.actions.submit_job import new_job, submit_job
from receiver.domain.announcements import compact_json, event_data, job_document, timestamp
from receiver.http_api.auth import Caller
from receiver.http_api.body import ClientGone, parse_object, read_body
from receiver.http_api.errors import Problem, bad_query
from receiver.http_api.idempotency import (
    find_replay,
    keep_answer,
    read_key,
    replayed,
    respond,
)
from receiver.http_api.parts import Parts
from receiver.http_api.queries import read_limit, read_names, scope_of_list
from receiver.http_api.readable import readable_job
from receiver.http_api.submissions import KINDS, read_job
from receiver.http_api.waiting import wait_for
from store.contract import JobFilter
from store.records import Answer, Job, Millis, Replay, Status

JSON = "application/json"
LONGEST_WAIT = 60

_WAIT = re.compile(r'wait\s*=\s*"?([0-9]+)"?', re.IGNORECASE)
_FILTERS = ("status", "kind", "created_after", "created_before")


# --- making ---------------------------------------------------------------------------------------


async def create(parts: Parts, request: Request, caller: Caller) -> Response:
    """`POST /v1/jobs`: answered as soon as the job is on disk, or when it is done (`Prefer`)."""
    arrived = parts.core.clock.monotonic()
    wait = _preferred_wait(request)
    body = parse_object(
        await read_body(request.scope, request.receive, parts.settings.max_body_bytes)
    )
    key = read_key(parts, request, body, (wait or 0) * 1_000)
    replay = await find_replay(parts, caller, key)
    if replay is None:
        submission = read_job(parts, body)
        new = new_job(parts.core, caller.user_id, caller.user, submission)
        at_once = _created(new.job.id, new.event, wait) if not wait else None
        made = await submit_job(parts.core, new, key, at_once)
        if isinstance(made, Job):
            if at_once is not None:
                return respond(at_once)
            try:
                job = await wait_for(
                    parts, request.receive, made, lambda job: job.done, arrived + (wait or 0)
                )
            except ClientGone:
                await keep_answer(parts, made, key, None)
                raise
            answer = _created(job.id, event_data(job), wait)
            await keep_answer(parts, made, key, answer)
            return respond(answer)
        replay = made
    return replayed(replay.answer or await _created_before(parts, replay, wait))


def _created(job_id: str, document: bytes, wait: int | None) -> Answer:
    headers = {"Content-Type": JSON, "Location": f"/v1/jobs/{job_id}"}
    if wait is not None:
        headers["Preference-Applied"] = f"wait={wait}"
    return Answer(202, headers, document)


async def _created_before(parts: Parts, replay: Replay, wait: int | None) -> Answer:
    job = await parts.core.store.jobs.find(replay.job_id)
    if job is None:
        raise Problem(
            410,
            "job_removed",
            "The job of this Idempotency-Key was finished and has been removed since.",
            members={"request_id": replay.job_id},
        )
    return _created(job.id, event_data(job), wait)


def _preferred_wait(request: Request) -> int | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), at most 60; None without a usable one."""
    for name, value in request.scope["headers"]:
        for preference in value.decode("latin-1").split(",") if name == b"prefer" else ():
            match = _WAIT.fullmatch(preference.partition(";")[0].strip())
            if match:
                return min(int(match[1][:9]), LONGEST_WAIT)
    return None


# --- reading --------------------------------------------------------------------------------------


async def find_job(parts: Parts, request: Request, caller: Caller) -> Job:
    """The job that a path names: the caller's own, or any for an admin. Raises Problem 404."""
    return await readable_job(parts, caller, request.path_params["job_id"])


async def show(parts: Parts, request: Request, caller: Caller) -> Response:
    """`GET /v1/jobs/{job_id}`."""
    job = await find_job(parts, request, caller)
    headers = {"ETag": f'"{job.seq}"', "Cache-Control": "private, no-cache"}
    if not job.done:
        headers["Retry-After"] = str(max(1, round(parts.settings.poll_min)))
    if _matches(request.headers.get("if-none-match"), job.seq):
        return Response(status_code=304, headers=headers)
    return Response(compact_json(job_document(job)), media_type=JSON, headers=headers)


async def list_jobs(parts: Parts, request: Request, caller: Caller) -> Response:
    """`GET /v1/jobs`: newest first, a page at a time."""
    query = request.query_params
    read_names(request, (*_FILTERS, "limit", "cursor", "user"), prefix="metadata.")
    limit = read_limit(request)
    user_id = await scope_of_list(parts, request, caller)
    before = query.get("cursor")
    if before is not None:
        before = parts.cursors.read("jobs", user_id, before)
    jobs = await parts.core.store.jobs.list_for_user(
        user_id, _read_filter(request), before, limit + 1
    )
    more = len(jobs) > limit
    document = {
        "jobs": [job_document(job) for job in jobs[:limit]],
        "next_cursor": parts.cursors.make("jobs", user_id, jobs[limit - 1].id) if more else None,
    }
    return Response(compact_json(document), media_type=JSON)


async def history(parts: Parts, request: Request, caller: Caller) -> Response:
    """`GET /v1/jobs/{job_id}/history`."""
    job = await find_job(parts, request, caller)
    lines: list[dict[str, Any]] = [
        {"at": timestamp(line.at), "type": line.type, **line.detail}
        for line in await parts.core.store.jobs.history_of(job.id)
    ]
    return Response(compact_json({"history": lines}), media_type=JSON)


async def result(parts: Parts, request: Request, caller: Caller) -> Response:
    """`GET /v1/jobs/{job_id}/result`: a redirect to a link that still opens."""
    job = await renew_link(parts.core, await find_job(parts, request, caller))
    if job.result is None:
        raise Problem(409, "no_result", f"There is no result: the job is {job.status}.")
    # Written as a URL: links of storage have spaces and letters that a header cannot carry.
    return RedirectResponse(
        str(job.result["videoUrl"]), status_code=302, headers={"Cache-Control": "no-store"}
    )


async def cancel(parts: Parts, request: Request, caller: Caller) -> Response:
    """`POST /v1/jobs/{job_id}/cancel`."""
    job = await find_job(parts, request, caller)
    if job.user_id != caller.user_id:
        raise Problem(403, "not_your_job", "An admin key reads the jobs of others, no more.")
    try:
        job = await cancel_job(parts.core, job.id)
    except JobFinished as finished:
        raise Problem(
            409,
            "job_finished",
            f"The job is finished already: it is {finished.job.status}.",
            members={"request_id": job.id, "job": job_document(finished.job)},
        ) from None
    return Response(compact_json(job_document(job)), status_code=202, media_type=JSON)


def _matches(header: str | None, seq: int) -> bool:
    """If-None-Match by weak comparison (RFC 9110, 13.1.2)."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or f'"{seq}"' in tags


def _read_filter(request: Request) -> JobFilter:
    query = request.query_params
    status = query.get("status")
    if status is not None and status not in list(Status):
        raise bad_query("status", f"must be one of {', '.join(Status)}")
    kind = query.get("kind")
    if kind is not None and kind not in KINDS:
        raise bad_query("kind", f"must be one of {', '.join(KINDS)}")
    return JobFilter(
        status=None if status is None else Status(status),
        kind=kind,
        created_after=_read_time(request, "created_after"),
        created_before=_read_time(request, "created_before"),
        metadata={
            name.removeprefix("metadata."): value
            for name, value in query.items()
            if name.startswith("metadata.")
        },
    )


def _read_time(request: Request, name: str) -> Millis | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        # A "+" in a query is a space, and an offset begins with one.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise bad_query(name, "must be a time such as 2026-01-02T03:04:05.678Z") from None
