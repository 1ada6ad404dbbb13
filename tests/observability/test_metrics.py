"""The metrics: their labels and first values."""

from receiver.telemetry.metrics import Metrics
from store.records.jobs import Phase


def test_all_phases_of_unfinished_jobs_exist_before_the_first_job() -> None:
    value = Metrics("1").registry.get_sample_value
    shown = {phase for phase in Phase if value("receiver_jobs", {"phase": phase}) is not None}
    assert shown == set(Phase) - {Phase.FINISHED}


def test_a_request_is_counted_by_its_route() -> None:
    metrics = Metrics("1")
    metrics.count_request("/v1/jobs/{id}", "GET", 200, 0.02)
    metrics.count_request("unmatched", "INVENTED", 405, 0.02)
    value = metrics.registry.get_sample_value
    counted = {"method": "GET", "route": "/v1/jobs/{id}", "status": "200"}
    assert value("receiver_http_requests_total", counted) == 1
    odd = {"method": "other", "route": "unmatched", "status": "405"}
    assert value("receiver_http_requests_total", odd) == 1
    timed = {"le": "0.025", "method": "GET", "route": "/v1/jobs/{id}"}
    assert value("receiver_http_request_duration_seconds_bucket", timed) == 1


def test_a_breaker_is_in_exactly_one_state() -> None:
    metrics = Metrics("1")
    metrics.watch_breaker("samsar", lambda: "half_open")
    for state, expected in (("closed", 0), ("half_open", 1), ("open", 0)):
        labels = {"provider": "samsar", "state": state}
        assert metrics.registry.get_sample_value("receiver_provider_breaker", labels) == expected
