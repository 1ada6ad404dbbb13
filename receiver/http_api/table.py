"""The route table: every address of the service, and what credential each asks for."""

from dataclasses import dataclass

from receiver.http_api import callbacks, deliveries, events, health, jobs, provider_api
from receiver.http_api.parts import (
    Credential,
    Endpoint,
    close_to_asgi,
    for_everyone,
    for_key,
    for_key_cheaply,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One operation."""

    method: str
    path: str
    credential: Credential
    endpoint: Endpoint


_NONE, _KEY, _TOKEN, _STREAM = (
    Credential.NONE,
    Credential.KEY,
    Credential.TOKEN,
    Credential.STREAM,
)
CALLBACK_PATH = "/webhooks/{provider}/{token}"
"""Never logged with what stands in it: the token is a secret."""

TABLE: tuple[Row, ...] = (
    Row("POST", CALLBACK_PATH, _TOKEN, close_to_asgi(callbacks.receive_callback)),
    Row("POST", "/v1/video/create_movie", _KEY, for_key(provider_api.submit("create_movie"))),
    Row(
        "POST", "/v1/video/create_narrative", _KEY, for_key(provider_api.submit("create_narrative"))
    ),
    Row("GET", "/v1/video/status", _KEY, for_key_cheaply(provider_api.status)),
    Row("POST", "/v1/jobs", _KEY, for_key(jobs.create)),
    Row("GET", "/v1/jobs", _KEY, for_key(jobs.list_jobs)),
    Row("GET", "/v1/jobs/{job_id}", _KEY, for_key_cheaply(jobs.show)),
    Row("GET", "/v1/jobs/{job_id}/history", _KEY, for_key(jobs.history)),
    Row("GET", "/v1/jobs/{job_id}/result", _KEY, for_key(jobs.result)),
    Row("POST", "/v1/jobs/{job_id}/cancel", _KEY, for_key(jobs.cancel)),
    Row("GET", "/v1/jobs/{job_id}/events", _STREAM, close_to_asgi(events.follow_job)),
    Row("GET", "/v1/events", _STREAM, close_to_asgi(events.follow_user)),
    Row("POST", "/v1/stream-tickets", _KEY, for_key(events.create_ticket)),
    Row("GET", "/v1/deliveries", _KEY, for_key(deliveries.list_deliveries)),
    Row("POST", "/v1/deliveries/{delivery_id}/retry", _KEY, for_key(deliveries.retry)),
    Row("GET", "/livez", _NONE, for_everyone(health.livez)),
    Row("GET", "/readyz", _NONE, for_everyone(health.readyz)),
    Row("GET", "/metrics", _NONE, for_everyone(health.metrics)),
)
