"""`listen`: webhooks for development, without a public URL."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any, cast

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from receiver.cli.listen import due
from receiver.client import StreamEvent
from receiver.domain.documents import Job
from tests.cli.conftest import TIMEOUT, Served, StubServer, Workspace, stub_server, submit_movie
from tests.support import documented


@pytest.fixture
def sink() -> Iterator[StubServer]:
    """A webhook receiver under development."""
    with stub_server() as server:
        yield server


@contextmanager
def listening(workspace: Workspace, url: str) -> Iterator[tuple[Popen[str], str]]:
    """The running command, and the secret that it printed."""
    with workspace.running("listen", "--forward-to", url) as process:
        assert process.stdout is not None
        secret = process.stdout.readline().removeprefix("Signing secret: ").strip()
        assert " posting to http://127.0.0.1:" in process.stdout.readline()
        yield process, secret
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 130, err


def test_the_forwarded_webhooks_equal_those_of_the_relay(served: Served, sink: StubServer) -> None:
    ann = served.as_user("listener")
    first = submit_movie(ann)
    assert ann.run("watch", first).status == 0  # finished before the command starts
    with listening(ann, sink.url.removeprefix("http://")) as (process, secret):
        begun = submit_movie(ann, webhookUrl=sink.url)
        sent: dict[str, list[dict[str, Any]]] = {"relay": [], "listen": []}
        for _ in range(4):
            post = sink.calls.get(timeout=TIMEOUT)
            try:
                sent["listen"].append(Webhook(secret).verify(post.body, post.headers))
            except WebhookVerificationError:  # it is signed with the user's own secret
                sent["relay"].append(json.loads(post.body))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.match(rf"\d\d:\d\d:\d\d job.in_progress {begun} 204\n", line)
    assert sent["listen"] == sent["relay"]
    assert [each["type"] for each in sent["listen"]] == ["job.in_progress", "job.completed"]
    assert {each["request_id"] for each in sent["listen"]} == {begun}


def test_a_failed_post_is_reported_and_not_repeated(endless: Served, sink: StubServer) -> None:
    sink.status = 500
    ann = endless.as_user("listener")
    secrets = set()
    for said in ("answered 500", "All connection attempts failed"):
        with listening(ann, sink.url) as (process, secret):
            secrets.add(secret)
            if said != "answered 500":
                sink.close()
            job_id = submit_movie(ann)
            assert ann.run("jobs", "cancel", job_id).status == 0
            assert process.stderr is not None
            line = process.stderr.readline().partition(" ")[2]
            assert line == f"job.cancelled {job_id} failed and is not repeated: {said}\n"
    assert sink.calls.qsize() == 1
    assert len(secrets) == 1, "an endpoint keeps its secret"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/hook",
            "example.com:80",
            "ftp://127.0.0.1/",
            "http://",
            "http://[::1",
        ),
        *("http://127.0.0.1:abc/hooks", "http://127.0.0.1/a\tb"),
    ],
)
def test_only_urls_on_this_machine_are_accepted(workspace: Workspace, url: str) -> None:
    done = workspace.run("listen", "--forward-to", url)
    assert done.status == 2
    assert "a URL on this machine" in done.err


# --- which changes are sent -----------------------------------------------------------------------


def event(kind: str, status: str) -> StreamEvent:
    """An event about one job, which was updated on January 2; `archived` is an update after its
    end."""
    done = status in ("COMPLETED", "FAILED", "CANCELLED")
    job = documented.example("Job") | {
        "status": status,
        "done": done,
        "updated_at": f"2026-01-0{3 if kind == 'archived' else 2}T00:00:00.000Z",
        "done_at": "2026-01-02T00:00:00.000Z" if done else None,
    }
    return StreamEvent("snapshot" if kind == "snapshot" else "update", (cast(Job, job),))


@pytest.mark.parametrize(
    ("events", "sent"),
    [
        (
            "update:PENDING update:IN_PROGRESS update:IN_PROGRESS update:COMPLETED",
            ["IN_PROGRESS", "COMPLETED"],
        ),
        ("snapshot:PENDING update:IN_PROGRESS update:FAILED", ["IN_PROGRESS", "FAILED"]),
        ("snapshot:IN_PROGRESS update:IN_PROGRESS update:FAILED", ["FAILED"]),
        ("snapshot:PENDING snapshot:IN_PROGRESS update:IN_PROGRESS", []),
        ("update:FAILED update:COMPLETED", ["FAILED", "COMPLETED"]),
        ("archived:COMPLETED", []),
        ("update:IN_PROGRESS update:COMPLETED", ["COMPLETED"]),  # a truncated snapshot left it out
    ],
)
def test_each_status_is_sent_once(events: str, sent: list[str]) -> None:
    pending: set[str] = set()
    found = []
    for each in events.split():
        kind, status = each.split(":")
        found += [job["status"] for job in due(event(kind, status), pending)]
    assert found == sent
