"""The route table: the paths of the API, and the credential that each requires. app.py adds
the pages of the dashboard."""

from collections.abc import Iterable
from typing import Any

from receiver.http_api import (
    admin,
    callbacks,
    create_job,
    deliveries,
    events,
    health,
    jobs,
    places,
    session_routes,
    spend,
    statistics,
)
from receiver.http_api.credentials import (
    ADMIN_KEY,
    CALLBACK_TOKEN,
    KEY,
    KEY_ONE_BY_ONE,
    KEY_OR_TICKET,
    KEY_WITHOUT_RATE_LIMIT,
    PUBLIC,
    Operation,
)
from receiver.http_api.openapi import Words, openapi_json

CALLBACK_PATH = "/webhooks/{provider}/{token}"
"""Its token is a secret and never logged; its provider is logged only if it is a known one."""

API: tuple[Operation[Any], ...] = (
    Operation("POST", CALLBACK_PATH, CALLBACK_TOKEN, callbacks.callback),
    Operation("POST", "/v1/jobs", KEY, create_job.create_job),
    Operation("GET", "/v1/jobs", KEY_ONE_BY_ONE, jobs.list_jobs),
    Operation("GET", "/v1/jobs/{job_id}", KEY_WITHOUT_RATE_LIMIT, jobs.show_job),
    Operation("GET", "/v1/jobs/{job_id}/history", KEY_ONE_BY_ONE, jobs.job_history),
    Operation("GET", "/v1/jobs/{job_id}/result", KEY, jobs.job_result),
    Operation("POST", "/v1/jobs/{job_id}/cancel", KEY, jobs.cancel_job),
    Operation("GET", "/v1/jobs/{job_id}/events", KEY_OR_TICKET, events.follow_job),
    Operation("GET", "/v1/events", KEY_OR_TICKET, events.follow_user),
    Operation("POST", "/v1/stream-tickets", KEY, events.create_stream_ticket),
    Operation("GET", "/v1/deliveries", KEY_ONE_BY_ONE, deliveries.list_deliveries),
    Operation("POST", "/v1/deliveries/retry", KEY, deliveries.retry_deliveries),
    Operation("GET", "/v1/deliveries/{delivery_id}", KEY, deliveries.show_delivery),
    Operation("POST", "/v1/deliveries/{delivery_id}/retry", KEY, deliveries.retry_delivery),
    Operation("POST", "/v1/webhook-tests", KEY, deliveries.test_webhook),
    Operation("GET", "/v1/users", ADMIN_KEY, admin.list_users),
    Operation("GET", "/v1/places", KEY_ONE_BY_ONE, places.list_places),
    Operation("GET", "/v1/statistics", KEY_ONE_BY_ONE, statistics.statistics),
    Operation("GET", "/v1/spend", KEY_ONE_BY_ONE, spend.spend),
    Operation("GET", "/v1/budgets", KEY_ONE_BY_ONE, spend.budgets),
    Operation("GET", "/session/metrics", ADMIN_KEY, session_routes.show_metrics),
    Operation("GET", "/session/keys", ADMIN_KEY, session_routes.list_keys),
    Operation("POST", "/session/keys", ADMIN_KEY, session_routes.create_key),
    Operation("DELETE", "/session/keys/{prefix}", ADMIN_KEY, session_routes.revoke_key),
    Operation("POST", "/session/secret", KEY, session_routes.signing_secret),
    Operation("GET", "/session", PUBLIC, session_routes.show_session),
    Operation("POST", "/session", PUBLIC, session_routes.sign_in),
    Operation("DELETE", "/session", PUBLIC, session_routes.sign_out),
    Operation("GET", "/livez", PUBLIC, health.livez),
    Operation("GET", "/readyz", PUBLIC, health.readyz),
    Operation("GET", "/metrics", PUBLIC, health.metrics),
)


def routes_of(providers: Iterable[Operation[Any]], words: Words) -> tuple[Operation[Any], ...]:
    """The routes of a service, those of its `providers` included, and the document that describes
    them, with these words in its schemas."""
    table = (*API, *providers)
    return (
        *table,
        Operation("GET", "/openapi.json", PUBLIC, openapi_json({r.path for r in table}, words)),
    )
