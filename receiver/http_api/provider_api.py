"""The provider's own API, served by us (contract 5): a client changes its base URL and its key."""

from starlette.requests import Request
from starlette.responses import Response

from receiver.actions.submit_job import new_job, submit_job
from receiver.domain.announcements import compact_json, status_document
from receiver.http_api.auth import Caller
from receiver.http_api.body import ClientGone, parse_object, read_body
from receiver.http_api.errors import CONTENT_TYPE, Problem, not_found
from receiver.http_api.idempotency import (
    find_replay,
    keep_answer,
    read_key,
    replayed,
    respond,
)
from receiver.http_api.parts import KeyHandler, Parts
from receiver.http_api.submissions import read_submission
from receiver.http_api.waiting import wait_for
from store.records import Answer, ErrorCode, Job, Phase, Replay


def submit(kind: str) -> KeyHandler:
    """The handler of `POST /v1/video/{kind}`."""

    async def handler(parts: Parts, request: Request, caller: Caller) -> Response:
        return await _submit(parts, request, caller, kind)

    return handler


async def _submit(parts: Parts, request: Request, caller: Caller, kind: str) -> Response:
    until = parts.core.clock.monotonic() + parts.settings.submit_wait
    body = parse_object(
        await read_body(request.scope, request.receive, parts.settings.max_body_bytes)
    )
    key = read_key(parts, request, body, int(parts.settings.submit_wait * 1_000))
    replay = await find_replay(parts, caller, key)
    if replay is None:
        submission = read_submission(parts, parts.settings.provider, kind, body)
        new = new_job(parts.core, caller.user_id, caller.user, submission)
        made = await submit_job(parts.core, new, key)
        if isinstance(made, Job):
            try:
                job = await wait_for(parts, request.receive, made, _is_answered, until)
            except ClientGone:
                await keep_answer(parts, made, key, None)
                raise
            answer = _answer(job)
            await keep_answer(parts, made, key, answer)
            return respond(answer)
        replay = made
    return replayed(replay.answer or _answer_later(await _job_of(parts, replay), replay))


def _is_answered(job: Job) -> bool:
    return job.phase not in (Phase.QUEUED, Phase.SUBMITTING)


async def _job_of(parts: Parts, replay: Replay) -> Job | None:
    return await parts.core.store.jobs.find(replay.job_id)


def _answer_later(job: Job | None, replay: Replay) -> Answer:
    """The answer that was never written, made of the job; its id is all that is left of one that
    retention has removed."""
    return _accepted(replay.job_id) if job is None else _answer(job)


def _accepted(job_id: str) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, compact_json({"request_id": job_id}))


def _answer(job: Job) -> Answer:
    """A refusal with the provider's status and words; everything else is taken."""
    if job.error is None or job.refused_with is None:
        return _accepted(job.id)
    credentials = job.error.code is ErrorCode.PROVIDER_CREDENTIALS
    problem = Problem(
        502 if credentials else job.refused_with,
        job.error.code,
        job.error.message,
        members={"request_id": job.id},
    )
    return Answer(problem.status, {"Content-Type": CONTENT_TYPE}, compact_json(problem.document()))


async def status(parts: Parts, request: Request, caller: Caller) -> Response:
    """`GET /v1/video/status`: from our store alone, by our id or the provider's."""
    request_id = request.query_params.get("request_id")
    if not request_id:
        raise Problem(400, "request_id_missing", "taskId query parameter is missing.")
    jobs = parts.core.store.jobs
    job = await jobs.find_for_user(caller.user_id, request_id)
    if job is None:
        job = await jobs.find_by_provider_id_for_user(caller.user_id, request_id)
    if job is None and caller.admin:
        job = await jobs.find(request_id) or await jobs.find_by_provider_id(request_id)
    if job is None:
        raise not_found()
    return Response(compact_json(status_document(job)), media_type="application/json")
