"""Replicate's own API, served by us: its clients change only the base URL and the key."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import parse_http_list

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from receiver.domain.serialization import compact_json
from receiver.engine.new_job import JobRequest
from receiver.http_api import queries
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import (
    ANY,
    KEY,
    KEY_ONE_BY_ONE,
    KEY_WITHOUT_RATE_LIMIT,
    PUBLIC,
    Operation,
)
from receiver.http_api.errors import or_404
from receiver.http_api.jobs import read_time_filter
from receiver.http_api.responses import JSON, NO_STORE, json_response
from receiver.providers import clients
from receiver.providers.clients import ClientApi, ClientCreation, invalid, not_served
from receiver.providers.replicate import shape as replicate
from receiver.providers.replicate.upstream import Replicate
from receiver.upstream.shapes import JobView, Refused, output_in
from store.idempotency import StoredResponse
from store.records.jobs import Job, Status

API: Final = ClientApi("replicate", "/replicate/v1/", lambda result, _details: output_in(result))

MAX_WAIT_SECONDS: Final = 55.0
"""The client 2.0.0b4 reads for 60 seconds, and then creates again."""
PAGE: Final = 100

_WAIT: Final = re.compile(r"wait(?:\s*=\s*\"?([0-9]{1,9}(?:\.[0-9]+)?)\"?)?", re.IGNORECASE)


async def create(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Create a prediction."""
    return await _PredictionCreation(
        context, request, caller, _preferred_wait(request), API
    ).respond()


class _PredictionCreation(ClientCreation):
    """Answers with the prediction: at once, or with `Prefer: wait` when the job is done or the time
    is over. Until the job is done it says `starting`: clients take anything else for the end."""

    def read(self, body: Mapping[str, Any]) -> JobRequest:
        path = self.request.path_params
        kind = f"{path['owner']}/{path['name']}" if "owner" in path else None
        if kind and self.request.url.path.startswith("/replicate/v1/deployments/"):
            kind = f"deployments/{kind}"
        try:
            given = replicate.read_submission(kind, body)
            wanted = replicate.read_filter(body)
        except Refused as refused:
            raise invalid(refused.member, refused.detail) from None
        events = replicate.webhook_events(wanted)
        webhook = ("webhook", given.webhook_url)
        checked = self.job_request(("version", given.kind), given.input, webhook, events)
        if given.webhook_url is None:
            return checked
        return replace(checked, details={"webhook_events_filter": wanted})

    async def response(self, job: Job, document: bytes | None = None) -> StoredResponse:
        status_code = 201 if self.wait is None or job.done else 202
        headers = {"Content-Type": JSON}
        if self.wait is not None:
            headers["Preference-Applied"] = f"wait={self.wait:g}"
        shown = await API.view(self.context, self.caller, job, self.input_json)
        if not job.done:
            shown = replace(shown, status=Status.PENDING)
        return StoredResponse(status_code, headers, _rendered(self.context, self.request, shown))


async def show(context: ApiContext, request: Request, caller: Caller) -> Response:
    """One prediction."""
    job = await _find(context, request, caller)
    return Response(await _prediction(context, request, caller, job), 200, NO_STORE, JSON)


async def cancel(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Cancel a prediction; a finished one stays as it is."""
    job = await _find(context, request, caller)
    job = await clients.cancel(context, caller, job) or await _find(context, request, caller)
    return Response(await _prediction(context, request, caller, job), 200, NO_STORE, JSON)


async def list_predictions(context: ApiContext, request: Request, caller: Caller) -> Response:
    """The caller's predictions, newest first, in pages. One is read after the other, as fast as the
    client receives them: each can be megabytes."""
    queries.check_parameters(request, "cursor", "created_after", "created_before")
    name, text = "predictions", request.query_params.get("cursor")
    after = text and queries.read_cursor(context.signer, name, caller.user_id, text)
    where = replace(read_time_filter(request), provider=API.provider(context))
    found, last = await context.services.store.jobs.list_page(caller.user_id, where, after, PAGE)

    def address(before: str | None) -> str:
        query = {key: text for key, text in request.query_params.items() if key != "cursor"}
        if before is not None:
            query["cursor"] = queries.write_cursor(context.signer, name, caller.user_id, before)
        url = f"{API.base_url(context, request)}predictions"
        return f"{url}?{urlencode(query)}" if query else url

    links = {"previous": None, "next": None if last is None else address(last)}
    if after:
        jobs = context.services.store.jobs
        links["previous"] = address(
            await jobs.before_previous_page(caller.user_id, where, after, PAGE)
        )

    async def pieces() -> AsyncIterator[bytes]:
        head = compact_json(links)
        yield head[:-1] + b',"results":['
        for number, job in enumerate(found):
            yield b"," if number else b""
            yield await _prediction(context, request, caller, job)
        yield b"]}"

    return StreamingResponse(pieces(), headers=NO_STORE, media_type=JSON)


async def show_secret(context: ApiContext, _request: Request, caller: Caller) -> Response:
    """The caller's signing secret, with which its client verifies our webhooks."""
    user = or_404(await context.services.store.keys.user(caller.user_id))
    return json_response({"key": user.secret})


async def show_version(context: ApiContext, request: Request, _caller: Caller) -> Response:
    """A version of a model, as the provider describes it. A client asks for it after it has created
    a prediction, so it always gets an answer."""
    provider = context.services.providers[API.provider(context)]
    assert isinstance(provider, Replicate)
    path = request.path_params
    version = path["id"]
    found = await provider.version(f"{path['owner']}/{path['name']}", version)
    if found is not None:
        return Response(found, 200, NO_STORE, JSON)
    return json_response(replicate.version(version, context.services.clock.now()))


async def _find(context: ApiContext, request: Request, caller: Caller) -> Job:
    return API.own_job(caller, await context.services.store.jobs.find(request.path_params["id"]))


async def _prediction(context: ApiContext, request: Request, caller: Caller, job: Job) -> bytes:
    job_input = await context.services.store.jobs.input_of(job.id) or "null"
    shown = await API.view(context, caller, job, job_input)
    return _rendered(context, request, shown)


def _rendered(context: ApiContext, request: Request, shown: JobView) -> bytes:
    return replicate.prediction(shown, API.base_url(context, request))


def _preferred_wait(request: Request) -> float | None:
    """The seconds of `Prefer: wait` or `wait=N`, at most `MAX_WAIT_SECONDS`; None without it."""
    for preference in parse_http_list(",".join(request.headers.getlist("prefer"))):
        if match := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            return min(float(match[1] or MAX_WAIT_SECONDS), MAX_WAIT_SECONDS)
    return None


ROUTES: Final[tuple[Operation[Any], ...]] = (
    Operation("POST", "/replicate/v1/predictions", KEY, create),
    Operation("GET", "/replicate/v1/predictions", KEY_ONE_BY_ONE, list_predictions),
    Operation("GET", "/replicate/v1/predictions/{id}", KEY_WITHOUT_RATE_LIMIT, show),
    Operation("POST", "/replicate/v1/predictions/{id}/cancel", KEY, cancel),
    Operation("POST", "/replicate/v1/models/{owner}/{name}/predictions", KEY, create),
    Operation("POST", "/replicate/v1/deployments/{owner}/{name}/predictions", KEY, create),
    Operation("GET", "/replicate/v1/webhooks/default/secret", KEY, show_secret),
    Operation("GET", "/replicate/v1/models/{owner}/{name}/versions/{id}", KEY, show_version),
    *(
        Operation(ANY, f"/replicate/v1/{part}{below}", PUBLIC, not_served)
        for part in (
            *("account", "hardware", "collections", "trainings", "files"),
            *("models", "deployments"),
        )
        for below in ("", "/{below:path}")
    ),
)
