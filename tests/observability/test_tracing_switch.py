"""When tracing is on: the standard variables decide (docs/operating.md)."""

import pytest

from receiver.tracing import configured_exporters

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
def test_the_standard_variables_turn_it_on(environ: dict[str, str], exporters: list[str]) -> None:
    assert configured_exporters(environ) == exporters
