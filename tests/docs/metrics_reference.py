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
VALUES = """
## Values of the labels

| label | of | values |
|---|---|---|
| `verdict` | `receiver_callbacks_total` | `accepted`, `duplicate` (or the job has too many), \
`failed` (stored, but it could not be applied: the job is polled), `gone` (the job has been \
removed); refused, by the `code` of the answer or its cause: `rejected` (no JSON object), \
`conflict` (another job's id), `unauthorized` (a bad token), `bad_signature`, `body_too_large` and \
others |
| `verified` | `receiver_callbacks_total` | `true` if the signature was the provider's |
| `outcome` | `receiver_submissions_total` | `accepted`, `refused`, `not_sent`, `ambiguous` |
| `outcome` | `receiver_status_polls_total` | `reported`, `missing` (404), `unavailable`, \
`breaker_open` (no call was made) |
| `outcome` | `receiver_relay_attempts_total` | `delivered`; `pending` (an answer, and it is \
retried); `no_answer`; `exhausted`; `disabled` (410) |
| `outcome` | `receiver_archive_downloads_total` | `stored`, `failed` |
| `phase` | `receiver_jobs` | [the phases](troubleshooting.md#a-job-does-not-end) |
| `status`, `evidence` | `receiver_jobs_finished_total` | [as in the job](integration.md#a-job) |
| `state` | `receiver_provider_breaker` | `closed`, `half_open`, `open` |
| `worker` | `receiver_worker_failures_total` | `submissions`, `status polls`, \
`timeouts`, `deliveries`, `downloads`, `archive upkeep`, `janitor`, `broadcast`, \
`revocation`, `safety` |
| `route` | `receiver_http_…` | the route's template, such as `/v1/jobs/{request_id}`; `refused`: \
refused under load before any work |
| `reason` | `receiver_logins_refused_total` | `missing`, `unknown` |
"""
SUFFIXES = {"counter": "_total", "info": "_info"}


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows()) + VALUES


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
