"""One trace for a job, from submission to webhook, recorded with OpenTelemetry's own SDK."""

from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from receiver.domain.serialization import timestamp
from receiver.open_telemetry import OpenTelemetry
from receiver.tracing import job_span, tracing_by
from tests.http_api.conftest import Start
from tests.http_api.event_stream import event_stream
from tests.http_api.relay_sink import Message, Sink, always
from tests.http_api.scripted_provider import COMPLETED, ScriptedProvider, answering, call_back
from tests.http_api.webhook_job import RELAY, WebhookJobs
from tests.support.service import JOB, RunningService, history_of, submit, until_seen, wait_for_job

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
ATTRIBUTES = {
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "receiver.delivery.id",
    "receiver.job.id",
    "receiver.job.status",
    "receiver.outcome",
    "receiver.provider",
}
"""Ids, words and numbers. Before you add an attribute, ask whether it can contain a secret."""


class Spans:
    """The spans that have ended so far."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def names(self) -> list[str]:
        return sorted(span.name for span in self.exporter.get_finished_spans())

    def text(self) -> str:
        return "".join(span.to_json() for span in self.exporter.get_finished_spans())

    async def wait_for(self, *names: str) -> list[ReadableSpan]:
        """Wait until exactly these spans have ended; returns them in the given order."""

        await until_seen(self.names, lambda seen: seen == sorted(names), f"spans {names}")
        found = list(self.exporter.get_finished_spans())
        assert all(set(span.attributes or {}) <= ATTRIBUTES for span in found)
        return [found.pop([span.name for span in found].index(name)) for name in names]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Turns tracing on, and collects the spans."""
    spans = Spans()
    with tracing_by(OpenTelemetry([SimpleSpanProcessor(spans.exporter)])):
        yield spans


@pytest.fixture
async def service(
    start: Start, spans: Spans, sink: Sink, provider: ScriptedProvider
) -> RunningService:
    return await start(**provider.settings(), **RELAY | {"confirm_callbacks": True})


async def message_of_a_cancelled_job(
    client: httpx.AsyncClient, sink: Sink, **headers: str
) -> Message:
    """The webhook of a job that was submitted with these headers."""
    client.headers.update(headers)
    job = await submit(client, webhookUrl=sink.url)
    await client.post(job["links"]["cancel"])
    (message,) = await sink.arrived(1)
    return message


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def traceparent(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{trace_id(span)}-{span.context.span_id:016x}-01"


def parent(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"00-{span.parent.trace_id:032x}-{span.parent.span_id:016x}-01"


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


async def test_a_job_is_one_trace_from_its_client_to_its_webhook(
    client: httpx.AsyncClient, spans: Spans, sink: Sink, provider: ScriptedProvider
) -> None:
    headers = {"traceparent": CALLER, "tracestate": "vendor=opaque"}
    created = await client.post("/v1/jobs", json=JOB | {"webhookUrl": sink.url}, headers=headers)
    request_id = created.json()["request_id"]
    submission = await provider.submitted()
    await wait_for_job(client, request_id, phase="accepted")
    async with event_stream(client, f"/v1/jobs/{request_id}/events"):
        provider.states["up-1"] = COMPLETED
        await call_back(submission.webhook_url, COMPLETED)
        (message,) = await sink.arrived(1)

    posted, submitted, applied, polled, relayed = await spans.wait_for(
        "POST /v1/jobs", "submit job", "process callback", "poll job", "relay webhook"
    )
    assert {trace_id(span) for span in (posted, submitted, applied, polled, relayed)} == {TRACE_ID}
    assert parent(posted) == CALLER
    for span in (submitted, applied, polled, relayed):
        assert parent(span) == traceparent(posted)
        assert attribute(span, "receiver.job.id") == request_id
    assert [span.kind for span in (posted, submitted, applied, polled, relayed)] == [
        SpanKind.SERVER,
        SpanKind.CLIENT,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
        SpanKind.CLIENT,
    ]
    assert attribute(posted, "receiver.job.id") == request_id
    assert attribute(posted, "http.response.status_code") == 202
    assert attribute(submitted, "receiver.outcome") == "accepted"
    assert attribute(applied, "receiver.job.status") == "PENDING"  # the claim is not trusted yet
    (received,) = await history_of(client, request_id, "callback")
    # Starts when the callback was stored, a moment after it arrived.
    assert timestamp((applied.start_time or 0) // 1_000_000) >= received["at"]
    assert (applied.start_time or 0) < (polled.start_time or 0)
    assert attribute(polled, "receiver.outcome") == "reported"
    assert attribute(relayed, "receiver.delivery.id") == message.id
    assert attribute(relayed, "http.response.status_code") == 200
    # The provider and the endpoint can join the trace; `tracestate` stays with the client's own
    # systems.
    assert submission.headers["traceparent"] == traceparent(submitted)
    assert "tracestate" not in submission.headers
    assert message.headers["traceparent"] == traceparent(relayed)
    assert message.headers["tracestate"] == "vendor=opaque"


async def test_a_drop_in_submission_is_traced_too(client: httpx.AsyncClient, spans: Spans) -> None:
    answer = await client.post("/v1/video/create_movie", json=JOB, headers={"traceparent": CALLER})
    posted, submitted = await spans.wait_for("POST /v1/video/create_movie", "submit job")
    assert attribute(posted, "receiver.job.id") == answer.json()["request_id"]
    assert parent(posted) == CALLER
    assert parent(submitted) == traceparent(posted)


async def test_a_traceparent_that_is_none_begins_a_new_trace(
    client: httpx.AsyncClient, spans: Spans
) -> None:
    for malformed in (
        *("", "nonsense", CALLER.upper(), CALLER[:-1], f"ff{CALLER[2:]}", f"{CALLER}-more"),
        *(f"00-{'0' * 32}-00f067aa0ba902b7-01", "00-" * 10_000),
    ):
        spans.exporter.clear()
        client.headers["traceparent"] = malformed
        await submit(client)
        posted, submitted = await spans.wait_for("POST /v1/jobs", "submit job")
        assert posted.parent is None, malformed
        assert parent(submitted) == traceparent(posted)
        assert TRACE_ID not in traceparent(posted)


async def test_a_trace_that_is_not_sampled_is_carried_and_not_recorded(
    client: httpx.AsyncClient, spans: Spans, sink: Sink, provider: ScriptedProvider
) -> None:
    not_sampled = CALLER[:-2] + "00"
    message = await message_of_a_cancelled_job(client, sink, traceparent=not_sampled)
    await submit(client)
    for headers in (message.headers, (await provider.submitted()).headers):
        assert headers["traceparent"].startswith(f"00-{TRACE_ID}-")
        assert headers["traceparent"].endswith("-00")
    assert spans.names() == []


async def test_a_tracestate_that_is_too_long_stays_behind(
    client: httpx.AsyncClient, sink: Sink
) -> None:
    too_long = ",".join(f"v{n}={'x' * 100}" for n in range(6))
    given = {"traceparent": CALLER, "tracestate": too_long}
    message = await message_of_a_cancelled_job(client, sink, **given)
    assert TRACE_ID in message.headers["traceparent"]
    assert "tracestate" not in message.headers


async def test_a_failed_span_has_no_text_of_others(
    client: httpx.AsyncClient, spans: Spans, sink: Sink, provider: ScriptedProvider
) -> None:
    provider.submit = answering(402, {"message": "secret-of-the-provider"})
    sink.answer = always(500)
    await submit(client, webhookUrl=f"{sink.url}?token=secret-of-the-user")
    await sink.arrived(3)
    _, submitted, *relayed = await spans.wait_for(
        "POST /v1/jobs", "submit job", "relay webhook", "relay webhook", "relay webhook"
    )
    assert attribute(submitted, "http.response.status_code") == 402
    for span, why in ((submitted, "refused"), *((each, "500") for each in relayed)):
        assert span.status.status_code is StatusCode.ERROR
        assert attribute(span, "error.type") == why
    assert "secret" not in spans.text()


async def test_an_unreachable_webhook_is_one_word_in_its_span(
    client: httpx.AsyncClient, spans: Spans
) -> None:
    job = await submit(client, webhookUrl="http://nobody.invalid:1/?token=secret-of-the-user")
    await client.post(f"/v1/jobs/{job['request_id']}/cancel")

    def failures() -> list[object]:
        found = spans.exporter.get_finished_spans()
        return [attribute(span, "error.type") for span in found if span.name == "relay webhook"]

    assert set(await until_seen(failures)) == {"no_address"}
    assert "secret" not in spans.text()


async def test_an_exception_marks_its_step_by_its_name_alone(spans: Spans) -> None:
    with pytest.raises(ValueError, match="secret"), job_span("poll job", "client", CALLER, "job_1"):
        raise ValueError("secret")
    (failed,) = await spans.wait_for("poll job")
    assert failed.status.status_code is StatusCode.ERROR
    assert attribute(failed, "error.type") == "ValueError"
    assert "secret" not in spans.text()


async def test_only_a_submission_opens_a_trace_and_only_behind_a_key(
    service: RunningService, spans: Spans
) -> None:
    stranger, client = service.client("rk_" + "x" * 43), await service.user()
    for each in (stranger, client):
        each.headers["traceparent"] = CALLER
    assert (await stranger.post("/v1/jobs", json=JOB)).status_code == 401
    assert (await client.get("/v1/jobs")).status_code == 200
    assert (await client.get("/livez")).status_code == 200
    assert spans.names() == []

    assert (await client.post("/v1/jobs", json={"kind": "poem"})).status_code == 400
    (posted,) = await spans.wait_for("POST /v1/jobs")
    assert attribute(posted, "http.response.status_code") == 400
    assert posted.status.status_code is StatusCode.UNSET


async def test_a_job_from_before_has_no_trace(webhook_jobs: WebhookJobs) -> None:
    client = webhook_jobs.service.client(await webhook_jobs.service.key(), traceparent=CALLER)
    await submit(client, webhookUrl=webhook_jobs.sink.url)
    submission = await webhook_jobs.provider.submitted()
    assert "traceparent" not in submission.headers
    spans = Spans()
    with tracing_by(OpenTelemetry([SimpleSpanProcessor(spans.exporter)])):
        await call_back(submission.webhook_url, COMPLETED)
        (message,) = await webhook_jobs.sink.arrived(1)
        assert "traceparent" not in message.headers
    assert spans.names() == []
