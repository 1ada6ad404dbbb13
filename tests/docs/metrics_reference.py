"""Generates docs/metrics.md from receiver/metrics.py:
`python -m tests.docs.metrics_reference`."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from receiver.metrics import Metrics

FILE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
HEAD = """# Metrics

`GET /metrics` has these, for Prometheus, and `process_…` for memory, CPU and open files. Times \
are in seconds, sizes in bytes. Counters start at 0 with the process; gauges about what is stored \
are the same on every replica. `relay` means webhooks to your users. \
[Operating](operating.md#metrics-and-alerts) has the alerts and the Grafana dashboard.

This page is generated from `receiver/metrics.py` (`python -m tests.docs.metrics_reference`).

| name | type | labels | meaning |
|---|---|---|---|
"""
SUFFIXES = {"counter": "_total", "info": "_info"}


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[tuple[str, str, str, str]]:
    registry = Metrics("1").registry
    for metric in registry._collector_to_names:
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            labels = [*metric._labelnames, *(["version"] if family.type == "info" else [])]
            name = family.name + SUFFIXES.get(family.type, "")
            labels_text = ", ".join(f"`{label}`" for label in labels)
            yield f"`{name}`", family.type, labels_text, family.documentation


if __name__ == "__main__":
    FILE.write_text(reference())
    print(f"{FILE.name} is written.")
