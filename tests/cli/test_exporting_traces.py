"""`serve` with OpenTelemetry's variables."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.cli.conftest import Served, StubServer, Workspace, stub_server, submit_movie

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def collector() -> Iterator[StubServer]:
    with stub_server(200) as server:
        yield server


def received(collector: StubServer) -> list[ExportTraceServiceRequest]:
    """What the collector received by OTLP over HTTP."""
    calls = [collector.calls.get_nowait() for _ in range(collector.calls.qsize())]
    assert {call.path for call in calls} == {"/v1/traces"}
    return [ExportTraceServiceRequest.FromString(call.body) for call in calls]


def with_variables(workspace: Workspace, **variables: str) -> Workspace:
    return replace(workspace.with_settings(SANDBOX_RENDER="0.1"), others=variables)


def submit_one(service: Served) -> None:
    user = service.as_user("ann")
    assert user.run("watch", submit_movie(user)).status == 0


def test_all_spans_reach_the_collector(workspace: Workspace, collector: StubServer) -> None:
    with with_variables(workspace, **{ENDPOINT: collector.url}).serving() as service:
        submit_one(service)

    assert service.process.returncode == 0
    resources = [each for request in received(collector) for each in request.resource_spans]
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    assert {"POST /v1/jobs", "submit job", "process callback"} <= {span.name for span in spans}
    (trace_id,) = {span.trace_id.hex() for span in spans}
    named = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert named["service.name"] == "receiver"
    for event in ("submission ended", "job finished"):
        (line,) = [line for line in service.log_lines() if line["event"] == event]
        assert line["trace_id"] == trace_id


def test_an_unresponsive_collector_does_not_delay_shutdown(workspace: Workspace) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with with_variables(workspace, **{ENDPOINT: address}).serving() as service:
            submit_one(service)
            began = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(timeout=20) == 0
    assert time.monotonic() - began < 15  # the SDK itself would wait for half a minute


def test_without_the_extra_there_is_one_warning(workspace: Workspace) -> None:
    # Python finds this module before the installed one.
    (workspace.folder / "opentelemetry.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'opentelemetry'\", name='opentelemetry')"
    )
    with with_variables(workspace, **{ENDPOINT: "http://127.0.0.1:1"}).serving() as service:
        submit_one(service)
    (warning,) = [line for line in service.log_lines() if "tracing is configured" in line["event"]]
    assert warning["level"] == "warning"
    assert "pip install '.[otel]'" in warning["event"]
