"""`serve` with OpenTelemetry's variables."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.cli.conftest import Workspace, stub_server, submit_movie

SECRETS = "webhooks/samsar/secret-token?ticket=secret-ticket"


@contextmanager
def traced_service(
    workspace: Workspace, collector: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service whose spans go to this address; one job has been completed. It is a process of its
    own, since a forked one would not export its last spans at its exit."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    there = replace(workspace.with_settings(SANDBOX_RENDER="0.1"), others=variables)
    with there.running("serve", "--port", "0") as process:
        assert process.stderr is not None
        lines = map(json.loads, process.stderr)
        url = next(line["url"] for line in lines if line["event"] == "serving")
        key = there.run("keys", "create", "ann", "--json").json()["key"]
        user = there.with_settings(URL=url, API_KEY=key)
        assert user.run("watch", submit_movie(user)).status == 0
        yield url, process


def test_requests_become_spans_without_secrets(workspace: Workspace) -> None:
    with stub_server(200) as collector:
        with traced_service(workspace, collector.url) as (url, process):
            assert httpx.post(f"{url}/{SECRETS}").status_code == 401
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        calls = [collector.calls.get_nowait() for _ in range(collector.calls.qsize())]

    assert {call.path for call in calls} == {"/v1/traces"}
    exported = [ExportTraceServiceRequest.FromString(call.body) for call in calls]
    resources = [each for request in exported for each in request.resource_spans]
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    names = {span.name for span in spans if span.kind == Span.SPAN_KIND_SERVER}
    assert {"POST /v1/jobs", "POST /webhooks/{provider}/{token}"} <= names
    assert {span.name for span in spans if span.kind == Span.SPAN_KIND_CLIENT} == {"GET", "POST"}
    named = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert named["service.name"] == "receiver"
    assert "secret-" not in str(spans)
    assert "job_0" not in str(spans)  # the id in the token of a callback


def test_an_unresponsive_collector_does_not_delay_shutdown(workspace: Workspace) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with traced_service(workspace, address) as (_, process):
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
    assert time.monotonic() - began < 8  # OpenTelemetry would wait for 10 s


def test_without_the_extra_there_is_one_warning(workspace: Workspace) -> None:
    # Python finds this module before the installed one.
    (workspace.folder / "opentelemetry.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'opentelemetry'\", name='opentelemetry')"
    )
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}
    with replace(workspace, others=variables).serving() as service:
        assert httpx.get(f"{service.url}/livez").status_code == 200
    (warning,) = [line for line in service.log_lines() if line["level"] == "warning"]
    assert "pip install '.[otel]'" in warning["event"]
