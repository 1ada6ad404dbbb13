"""Turning tracing on by the standard variables (docs/operating.md)."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from receiver import tracing
from receiver.open_telemetry import OpenTelemetry
from receiver.tracing import configured_exporters

ROOT = Path(__file__).parents[2]
HTTP = "otlp_proto_http"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        ({}, []),
        ({"OTEL_SERVICE_NAME": "receiver", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "x"}, []),
        (ENDPOINT, [HTTP]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, []),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, [HTTP]),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [HTTP]),
        ({"OTEL_TRACES_EXPORTER": "console"}, ["console"]),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, [HTTP, "console"]),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, []),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": ""}, [HTTP]),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, []),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, [HTTP]),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"]),
        (
            ENDPOINT
            | {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            [HTTP],
        ),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, ["otlp over http/json"]),
    ],
)
def test_the_exporters_of_the_standard_variables(
    environ: dict[str, str], exporters: list[str]
) -> None:
    assert configured_exporters(environ) == exporters


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "no exporter zipkin is installed"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "no exporter otlp over http/json is installed",
        ),
        (ENDPOINT | {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "max_queue_size must be a positive integer"),
    ],
)
def test_an_unavailable_exporter_is_only_warned_about(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], reason: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with capture_logs() as lines, tracing.exporting(os.environ):
        assert not tracing.is_on()
    (warning,) = lines
    assert warning["log_level"] == "warning"
    assert reason in warning["reason"]


@pytest.mark.parametrize(
    ("environ", "name"), [({}, "receiver"), ({"OTEL_SERVICE_NAME": "films"}, "films")]
)
def test_the_environment_can_name_the_service(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], name: str
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    exporter = InMemorySpanExporter()
    with (
        tracing.tracing_by(OpenTelemetry([SimpleSpanProcessor(exporter)])),
        tracing.request_span("GET", "/", {}),
    ):
        structlog.contextvars.clear_contextvars()  # clears the trace's id
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == name


UNTRACED = """
import asyncio, sys
from pathlib import Path
from tests.support.service import wait_for_job, running_service, submit

async def main(folder: Path) -> None:
    async with running_service(folder) as service:
        client = await service.user()
        job = await submit(client)
        await wait_for_job(client, job["request_id"], done=True)

asyncio.run(main(Path(sys.argv[1])))
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


async def test_opentelemetry_is_not_loaded_unless_tracing_is_configured(tmp_path: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", UNTRACED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
