"""`listen`: webhooks at an address of this machine, without a public one."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from subprocess import Popen
from typing import Any

import pytest

from receiver.cli.listen import Changes
from receiver.client import BadRelay, Job, StreamEvent, verify_relay
from tests.cli.conftest import TIMEOUT, OtherServer, Place, Served, other_server
from tests.cli.test_jobs_over_http import submitted


@pytest.fixture
def sink() -> Iterator[OtherServer]:
    """A webhook receiver under development."""
    with other_server() as server:
        yield server


@contextmanager
def listening(place: Place, url: str) -> Iterator[tuple[Popen[str], str]]:
    """The command as it runs, and the secret that it has printed."""
    process = place.start("listen", "--forward-to", url)
    try:
        assert process.stdout is not None
        secret = process.stdout.readline().removeprefix("Signing secret: ").strip()
        assert process.stdout.readline().endswith(f" posting to {url}.\n")
        yield process, secret
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 130, err


def test_the_webhooks_of_a_job_come_as_the_relay_sends_them(
    served: Served, sink: OtherServer
) -> None:
    ann = served.as_user("listener")
    first = submitted(ann)
    assert ann.run("watch", first).status == 0  # over before anybody listened
    with listening(ann, sink.url) as (process, secret):
        begun = submitted(ann, webhookUrl=sink.url)
        sent: dict[str, list[dict[str, Any]]] = {"relay": [], "listen": []}
        for _ in range(4):
            post = sink.calls.get(timeout=TIMEOUT)
            try:
                sent["listen"].append(verify_relay(secret, post.headers, post.body).body)
            except BadRelay:  # it is signed with the user's own secret
                sent["relay"].append(json.loads(post.body))
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"job.in_progress {begun} 204 ")
    assert sent["listen"] == sent["relay"]
    assert [each["type"] for each in sent["listen"]] == ["job.in_progress", "job.completed"]
    assert {each["request_id"] for each in sent["listen"]} == {begun}


def test_a_post_that_fails_is_reported_and_not_repeated(endless: Served, sink: OtherServer) -> None:
    sink.status = 500
    ann = endless.as_user("listener")
    with listening(ann, sink.url) as (process, secret):
        job_id = submitted(ann)
        assert ann.run("jobs", "cancel", job_id).status == 0
        post = sink.calls.get(timeout=TIMEOUT)
        assert verify_relay(secret, post.headers, post.body).body["type"] == "job.cancelled"
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line == f"job.cancelled {job_id} failed and is not retried: answered 500\n"
    assert sink.calls.empty()


@pytest.mark.parametrize(
    "url", ["http://example.com/hook", "ftp://127.0.0.1/", "127.0.0.1:9000", "http://"]
)
def test_it_posts_to_this_machine_alone(place: Place, url: str) -> None:
    done = place.run("listen", "--forward-to", url)
    assert done.status == 2
    assert "a URL on this machine" in done.err


# --- what is news ---------------------------------------------------------------------------------

THEN = datetime(2026, 1, 2, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)


def job(status: str, *, updated_at: datetime = THEN, done_at: datetime | None = None) -> Job:
    done = status in ("COMPLETED", "FAILED", "CANCELLED")
    members: dict[str, Any] = dict.fromkeys(Job.model_fields) | {
        "request_id": "job_1",
        "status": status,
        "done": done,
        "updated_at": updated_at,
        "done_at": (done_at or updated_at) if done else None,
    }
    return Job.model_construct(None, **members)


@pytest.mark.parametrize(
    ("events", "sent"),
    [
        ("u:PENDING u:IN_PROGRESS u:IN_PROGRESS u:COMPLETED", ["IN_PROGRESS", "COMPLETED"]),
        ("s:IN_PROGRESS u:IN_PROGRESS u:FAILED", ["FAILED"]),
        ("s:PENDING s:IN_PROGRESS u:IN_PROGRESS", []),
        ("u:FAILED u:COMPLETED", ["FAILED", "COMPLETED"]),
    ],
)
def test_each_status_is_sent_once(events: str, sent: list[str]) -> None:
    changes = Changes()
    found = []
    for each in events.split():
        kind, status = each.split(":")
        event = StreamEvent("update" if kind == "u" else "snapshot", (job(status),))
        found += [changed.status for changed in changes.take(event)]
    assert found == sent


def test_what_changes_beside_a_finished_job_is_no_news() -> None:
    event = StreamEvent("update", (job("COMPLETED", updated_at=LATER, done_at=THEN),))
    assert list(Changes().take(event)) == []
