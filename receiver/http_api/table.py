"""The route table: all paths of the service, and the credential that each requires."""

from typing import Any

from receiver.http_api import (
    callbacks,
    deliveries,
    documentation,
    events,
    health,
    holds,
    jobs,
    keys,
    operations,
    provider_api,
    signing_in,
    statistics,
    users,
    webhook_tests,
)
from receiver.http_api.credentials import (
    ADMIN_KEY,
    CALLBACK_TOKEN,
    KEY,
    KEY_OR_TICKET,
    KEY_UNMETERED,
    NOTHING,
)
from receiver.http_api.row import Row

CALLBACK_PATH = "/webhooks/{provider}/{token}"
"""Never logged with its values: the token is a secret."""

API: tuple[Row[Any], ...] = (
    Row("POST", CALLBACK_PATH, CALLBACK_TOKEN, callbacks.callback, operations.CALLBACK),
    Row("POST", "/v1/video/create_movie", KEY, provider_api.create_movie, operations.CREATE_MOVIE),
    Row(
        "POST",
        "/v1/video/create_narrative",
        KEY,
        provider_api.create_narrative,
        operations.CREATE_NARRATIVE,
    ),
    Row("GET", "/v1/video/status", KEY_UNMETERED, provider_api.status, operations.STATUS),
    Row("POST", "/v1/jobs", KEY, jobs.create_job, operations.CREATE_JOB),
    Row("GET", "/v1/jobs", KEY, jobs.list_jobs, operations.LIST_JOBS),
    Row("GET", "/v1/jobs/{job_id}", KEY_UNMETERED, jobs.show_job, operations.SHOW_JOB),
    Row("GET", "/v1/jobs/{job_id}/history", KEY, jobs.job_history, operations.JOB_HISTORY),
    Row("GET", "/v1/jobs/{job_id}/result", KEY, jobs.job_result, operations.JOB_RESULT),
    Row("POST", "/v1/jobs/{job_id}/cancel", KEY, jobs.cancel_job, operations.CANCEL_JOB),
    Row("GET", "/v1/jobs/{job_id}/events", KEY_OR_TICKET, events.follow_job, operations.FOLLOW_JOB),
    Row("GET", "/v1/events", KEY_OR_TICKET, events.follow_user, operations.FOLLOW_USER),
    Row(
        "POST",
        "/v1/stream-tickets",
        KEY,
        events.create_stream_ticket,
        operations.CREATE_STREAM_TICKET,
    ),
    Row("GET", "/v1/deliveries", KEY, deliveries.list_deliveries, operations.LIST_DELIVERIES),
    Row(
        "POST",
        "/v1/deliveries/retry",
        KEY,
        deliveries.retry_deliveries,
        operations.RETRY_DELIVERIES,
    ),
    Row(
        "GET",
        "/v1/deliveries/{delivery_id}",
        KEY,
        deliveries.show_delivery,
        operations.SHOW_DELIVERY,
    ),
    Row(
        "POST",
        "/v1/deliveries/{delivery_id}/retry",
        KEY,
        deliveries.retry_delivery,
        operations.RETRY_DELIVERY,
    ),
    Row("POST", "/v1/webhook-tests", KEY, webhook_tests.test_webhook, operations.TEST_WEBHOOK),
    Row("GET", "/v1/users", ADMIN_KEY, users.list_users, operations.LIST_USERS),
    Row("GET", "/v1/holds", ADMIN_KEY, holds.list_holds, operations.LIST_HOLDS),
    Row("DELETE", "/v1/holds/{provider}", ADMIN_KEY, holds.end_holds, operations.END_HOLDS),
    Row("GET", "/v1/statistics", KEY, statistics.statistics, operations.STATISTICS),
    Row("GET", "/session/keys", ADMIN_KEY, keys.list_keys),
    Row("POST", "/session/keys", ADMIN_KEY, keys.create),
    Row("DELETE", "/session/keys/{prefix}", ADMIN_KEY, keys.revoke),
    Row("GET", "/session", NOTHING, signing_in.show_session),
    Row("POST", "/session", NOTHING, signing_in.sign_in),
    Row("DELETE", "/session", NOTHING, signing_in.sign_out),
    Row("GET", "/livez", NOTHING, health.livez, operations.LIVEZ),
    Row("GET", "/readyz", NOTHING, health.readyz, operations.READYZ),
    Row("GET", "/metrics", NOTHING, health.metrics, operations.METRICS),
)
TABLE: tuple[Row[Any], ...] = (
    *API,
    Row("GET", "/openapi.json", NOTHING, documentation.openapi_json(API)),
    Row("GET", "/docs", NOTHING, documentation.docs(API)),
)
