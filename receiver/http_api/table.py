"""The route table: every address of the service, and what credential each asks for."""

from receiver.http_api import (
    callbacks,
    deliveries,
    documentation,
    events,
    health,
    jobs,
    provider_api,
    signing_in,
)
from receiver.http_api import operations as told
from receiver.http_api.parts import (
    Credential,
    close_to_asgi,
    for_everyone,
    for_key,
    for_key_cheaply,
)
from receiver.http_api.row import Row
from receiver.http_api.traced import traced

_NONE, _KEY, _TOKEN, _STREAM = (
    Credential.NONE,
    Credential.KEY,
    Credential.TOKEN,
    Credential.STREAM,
)
CALLBACK_PATH = "/webhooks/{provider}/{token}"
"""Never logged with what stands in it: the token is a secret."""

API: tuple[Row, ...] = (
    Row("POST", CALLBACK_PATH, _TOKEN, close_to_asgi(callbacks.receive_callback), told.CALLBACK),
    Row(
        "POST",
        "/v1/video/create_movie",
        _KEY,
        for_key(traced(provider_api.submit("create_movie"))),
        told.CREATE_MOVIE,
    ),
    Row(
        "POST",
        "/v1/video/create_narrative",
        _KEY,
        for_key(traced(provider_api.submit("create_narrative"))),
        told.CREATE_NARRATIVE,
    ),
    Row("GET", "/v1/video/status", _KEY, for_key_cheaply(provider_api.status), told.STATUS),
    Row("POST", "/v1/jobs", _KEY, for_key(traced(jobs.create)), told.CREATE_JOB),
    Row("GET", "/v1/jobs", _KEY, for_key(jobs.list_jobs), told.LIST_JOBS),
    Row("GET", "/v1/jobs/{job_id}", _KEY, for_key_cheaply(jobs.show), told.SHOW_JOB),
    Row("GET", "/v1/jobs/{job_id}/history", _KEY, for_key(jobs.history), told.JOB_HISTORY),
    Row("GET", "/v1/jobs/{job_id}/result", _KEY, for_key(jobs.result), told.JOB_RESULT),
    Row("POST", "/v1/jobs/{job_id}/cancel", _KEY, for_key(jobs.cancel), told.CANCEL_JOB),
    Row(
        "GET",
        "/v1/jobs/{job_id}/events",
        _STREAM,
        close_to_asgi(events.follow_job),
        told.FOLLOW_JOB,
    ),
    Row("GET", "/v1/events", _STREAM, close_to_asgi(events.follow_user), told.FOLLOW_USER),
    Row("POST", "/v1/stream-tickets", _KEY, for_key(events.create_ticket), told.CREATE_TICKET),
    Row("GET", "/v1/deliveries", _KEY, for_key(deliveries.list_deliveries), told.LIST_DELIVERIES),
    Row(
        "POST",
        "/v1/deliveries/{delivery_id}/retry",
        _KEY,
        for_key(deliveries.retry),
        told.RETRY_DELIVERY,
    ),
    Row("GET", "/session", _NONE, for_everyone(signing_in.show_session)),
    Row("POST", "/session", _NONE, for_everyone(signing_in.sign_in)),
    Row("DELETE", "/session", _NONE, for_everyone(signing_in.sign_out)),
    Row("GET", "/livez", _NONE, for_everyone(health.livez), told.LIVEZ),
    Row("GET", "/readyz", _NONE, for_everyone(health.readyz), told.READYZ),
    Row("GET", "/metrics", _NONE, for_everyone(health.metrics), told.METRICS),
)
TABLE: tuple[Row, ...] = (
    *API,
    Row("GET", "/openapi.json", _NONE, documentation.openapi_json(API)),
    Row("GET", "/docs", _NONE, documentation.docs(API)),
)
