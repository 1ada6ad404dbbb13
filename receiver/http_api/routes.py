"""The route table: the paths of the API, and the credential that each requires. assembly.py adds
the pages of the dashboard."""

from typing import Any

from receiver.config.settings import ServeSettings
from receiver.http_api import (
    admin,
    callbacks,
    create_job,
    deliveries,
    events,
    fal_api,
    health,
    jobs,
    places,
    provider_api,
    provider_clients,
    replicate_api,
    session_routes,
    spend,
    statistics,
)
from receiver.http_api.credentials import (
    ADMIN_KEY,
    ANY,
    CALLBACK_TOKEN,
    KEY,
    KEY_ONE_BY_ONE,
    KEY_OR_TICKET,
    KEY_WITHOUT_RATE_LIMIT,
    PUBLIC,
    Row,
)
from receiver.http_api.openapi import openapi_json

CALLBACK_PATH = "/webhooks/{provider}/{token}"
"""Its token is a secret and never logged; its provider is logged only if it is a known one."""

_PROVIDER_API: tuple[Row[Any], ...] = (
    Row("POST", "/v1/video/create_movie", KEY, provider_api.create_movie),
    Row("POST", "/v1/video/create_narrative", KEY, provider_api.create_narrative),
    Row("GET", "/v1/video/status", KEY_WITHOUT_RATE_LIMIT, provider_api.status),
)
_REPLICATE: tuple[Row[Any], ...] = (
    Row("POST", "/replicate/v1/predictions", KEY, replicate_api.create),
    Row("GET", "/replicate/v1/predictions", KEY_ONE_BY_ONE, replicate_api.list_predictions),
    Row("GET", "/replicate/v1/predictions/{id}", KEY_WITHOUT_RATE_LIMIT, replicate_api.show),
    Row("POST", "/replicate/v1/predictions/{id}/cancel", KEY, replicate_api.cancel),
    Row("POST", "/replicate/v1/models/{owner}/{name}/predictions", KEY, replicate_api.create),
    Row("POST", "/replicate/v1/deployments/{owner}/{name}/predictions", KEY, replicate_api.create),
    Row("GET", "/replicate/v1/webhooks/default/secret", KEY, replicate_api.show_secret),
    Row(
        "GET",
        "/replicate/v1/models/{owner}/{name}/versions/{id}",
        KEY,
        replicate_api.show_version,
    ),
    *(
        Row(ANY, f"/replicate/v1/{part}{below}", PUBLIC, provider_clients.not_served)
        for part in (
            *("account", "hardware", "collections", "trainings", "files"),
            *("models", "deployments"),
        )
        for below in ("", "/{below:path}")
    ),
)
_FAL_REQUEST = "/fal/{endpoint:path}/requests/{id}"
_FAL: tuple[Row[Any], ...] = (
    Row("GET", f"{_FAL_REQUEST}/status", KEY_WITHOUT_RATE_LIMIT, fal_api.status),
    Row("GET", f"{_FAL_REQUEST}/status/stream", KEY, fal_api.stream),
    Row("PUT", f"{_FAL_REQUEST}/cancel", KEY, fal_api.cancel),
    Row("GET", _FAL_REQUEST, KEY, fal_api.response),
    Row("POST", "/fal/{endpoint:path}", KEY, fal_api.submit),
)
API: tuple[Row[Any], ...] = (
    Row("POST", CALLBACK_PATH, CALLBACK_TOKEN, callbacks.callback),
    *_PROVIDER_API,
    Row("POST", "/v1/jobs", KEY, create_job.create_job),
    Row("GET", "/v1/jobs", KEY_ONE_BY_ONE, jobs.list_jobs),
    Row("GET", "/v1/jobs/{job_id}", KEY_WITHOUT_RATE_LIMIT, jobs.show_job),
    Row("GET", "/v1/jobs/{job_id}/history", KEY_ONE_BY_ONE, jobs.job_history),
    Row("GET", "/v1/jobs/{job_id}/result", KEY, jobs.job_result),
    Row("POST", "/v1/jobs/{job_id}/cancel", KEY, jobs.cancel_job),
    Row("GET", "/v1/jobs/{job_id}/events", KEY_OR_TICKET, events.follow_job),
    Row("GET", "/v1/events", KEY_OR_TICKET, events.follow_user),
    Row("POST", "/v1/stream-tickets", KEY, events.create_stream_ticket),
    Row("GET", "/v1/deliveries", KEY_ONE_BY_ONE, deliveries.list_deliveries),
    Row("POST", "/v1/deliveries/retry", KEY, deliveries.retry_deliveries),
    Row("GET", "/v1/deliveries/{delivery_id}", KEY, deliveries.show_delivery),
    Row("POST", "/v1/deliveries/{delivery_id}/retry", KEY, deliveries.retry_delivery),
    Row("POST", "/v1/webhook-tests", KEY, deliveries.test_webhook),
    Row("GET", "/v1/users", ADMIN_KEY, admin.list_users),
    Row("GET", "/v1/places", KEY_ONE_BY_ONE, places.list_places),
    Row("GET", "/v1/statistics", KEY_ONE_BY_ONE, statistics.statistics),
    Row("GET", "/v1/spend", KEY_ONE_BY_ONE, spend.spend),
    Row("GET", "/session/metrics", ADMIN_KEY, session_routes.show_metrics),
    Row("GET", "/session/keys", ADMIN_KEY, session_routes.list_keys),
    Row("POST", "/session/keys", ADMIN_KEY, session_routes.create_key),
    Row("DELETE", "/session/keys/{prefix}", ADMIN_KEY, session_routes.revoke_key),
    Row("POST", "/session/secret", KEY, session_routes.signing_secret),
    Row("GET", "/session", PUBLIC, session_routes.show_session),
    Row("POST", "/session", PUBLIC, session_routes.sign_in),
    Row("DELETE", "/session", PUBLIC, session_routes.sign_out),
    Row("GET", "/livez", PUBLIC, health.livez),
    Row("GET", "/readyz", PUBLIC, health.readyz),
    Row("GET", "/metrics", PUBLIC, health.metrics),
)


def routes_of(settings: ServeSettings) -> tuple[Row[Any], ...]:
    """The routes of a service with these settings, and the document that describes them."""
    runs = provider_api.provider_of(settings) is not None
    api = [row for row in API if runs or row not in _PROVIDER_API]
    paths = {row.path for row in api}
    for name, rows in (("replicate", _REPLICATE), ("fal", _FAL)):
        if provider_clients.provider_of(settings, name) is not None:
            api += rows
    return (*api, Row("GET", "/openapi.json", PUBLIC, openapi_json(paths, settings)))
