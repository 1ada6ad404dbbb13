"""`listen`: webhooks for development, without a public URL."""

import json
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from subprocess import Popen
from typing import Any, cast

import pytest

from receiver.cli import listen
from receiver.cli.listen import WebhookFilter
from receiver.client import BadRelay, StreamEvent, verify_relay
from receiver.domain.documents import Job
from receiver.webhooks.signing import new_secret
from tests.cli.conftest import TIMEOUT, Served, StubServer, Workspace, stub_server, submit_movie
from tests.support import documented


@pytest.fixture
def sink() -> Iterator[StubServer]:
    """A webhook receiver under development."""
    with stub_server() as server:
        yield server


@contextmanager
def listening(workspace: Workspace, url: str, *options: str) -> Iterator[tuple[Popen[str], str]]:
    """The running command, and the secret that it printed."""
    with workspace.running("listen", "--forward-to", url, *options) as process:
        assert process.stdout is not None
        secret = process.stdout.readline().removeprefix("Signing secret: ").strip()
        assert process.stdout.readline().endswith(f" posting to {url}.\n")
        yield process, secret
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 130, err


def test_the_forwarded_webhooks_equal_those_of_the_relay(served: Served, sink: StubServer) -> None:
    ann = served.as_user("listener")
    first = submit_movie(ann)
    assert ann.run("watch", first).status == 0  # finished before the command starts
    with listening(ann, sink.url) as (process, secret):
        begun = submit_movie(ann, webhookUrl=sink.url)
        sent: dict[str, list[dict[str, Any]]] = {"relay": [], "listen": []}
        for _ in range(4):
            post = sink.calls.get(timeout=TIMEOUT)
            try:
                sent["listen"].append(verify_relay(secret, post.headers, post.body).body)
            except BadRelay:  # it is signed with the user's own secret
                sent["relay"].append(json.loads(post.body))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.match(rf"\d\d:\d\d:\d\d job.in_progress {begun} 204 \d+ ms\n", line)
    assert sent["listen"] == sent["relay"]
    assert [each["type"] for each in sent["listen"]] == ["job.in_progress", "job.completed"]
    assert {each["request_id"] for each in sent["listen"]} == {begun}


def test_a_failed_post_is_reported_and_not_retried(endless: Served, sink: StubServer) -> None:
    sink.status = 500
    ann = endless.as_user("listener")
    with listening(ann, sink.url) as (process, secret):
        job_id = submit_movie(ann)
        assert ann.run("jobs", "cancel", job_id).status == 0
        post = sink.calls.get(timeout=TIMEOUT)
        assert verify_relay(secret, post.headers, post.body).body["type"] == "job.cancelled"
        assert process.stderr is not None
        line = process.stderr.readline().partition(" ")[2]
        assert line == f"job.cancelled {job_id} failed and is not retried: answered 500 {{}}\n"
    assert sink.calls.empty()


def test_the_secret_can_be_kept(endless: Served, sink: StubServer) -> None:
    secret = new_secret(b"s" * 32)
    ann = endless.as_user("listener")
    with listening(ann, sink.url, "--secret", secret) as (_, printed):
        assert printed == secret
        assert ann.run("jobs", "cancel", submit_movie(ann)).status == 0
        post = sink.calls.get(timeout=TIMEOUT)
        assert verify_relay(secret, post.headers, post.body).body["type"] == "job.cancelled"


def test_the_last_message_of_a_job_is_posted_again(served: Served, sink: StubServer) -> None:
    ann = served.as_user("replayer")
    job_id = submit_movie(ann, webhookUrl=sink.url, webhookEvents=["COMPLETED"])
    assert ann.run("watch", job_id).status == 0
    sent = json.loads(sink.calls.get(timeout=TIMEOUT).body)
    secret = new_secret(b"s" * 32)
    arguments = ("listen", "--forward-to", sink.url, "--secret", secret, "--replay")
    done = ann.run(*arguments, job_id)
    assert (done.status, done.err) == (0, "")
    post = sink.calls.get(timeout=TIMEOUT)
    assert verify_relay(secret, post.headers, post.body).body == sent
    sink.status = 500
    refused = ann.run(*arguments, job_id)
    assert refused.status == 1
    assert f"job.completed {job_id} failed and is not retried: answered 500" in refused.err


@pytest.mark.parametrize(
    ("status", "header", "said"),
    [
        (200, {"Content-Length": "9"}, None),
        (200, {"Content-Encoding": "gzip"}, None),
        (500, {"Content-Encoding": "gzip"}, "answered 500 {}"),
        (500, {"Content-Type": "text/plain; charset=utf-16"}, "answered 500 {}"),
    ],
)
def test_the_status_decides_whatever_the_body_is(
    served: Served, sink: StubServer, status: int, header: dict[str, str], said: str | None
) -> None:
    ann = served.as_user("replayer")
    job_id = submit_movie(ann)
    assert ann.run("watch", job_id).status == 0
    sink.status, sink.headers = status, header
    done = ann.run("listen", "--forward-to", sink.url, "--replay", job_id)
    assert done.status == (said is not None)
    assert done.err.strip().endswith(said or "")


def test_an_error_whose_body_stalls_is_reported_with_its_status(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "TIMEOUT", 0.5)
    ann = served.as_user("replayer")
    job_id = submit_movie(ann)
    assert ann.run("watch", job_id).status == 0
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as endpoint:

        def answer() -> socket.socket:
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 99\r\n\r\nno disk")
            return connection

        answered = endpoint.submit(answer)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = ann.run("listen", "--forward-to", url, "--replay", job_id)
        with answered.result():
            assert done.err.strip().endswith("answered 500 no disk")


def test_a_job_without_a_message_cannot_be_replayed(endless: Served, sink: StubServer) -> None:
    ann = endless.as_user("replayer")
    job_id = submit_movie(ann)
    done = ann.run("listen", "--forward-to", sink.url, "--replay", job_id)
    assert done.status == 1
    assert done.err == f"{job_id} is PENDING: there is no message about it yet.\n"
    assert sink.calls.empty()


@pytest.mark.parametrize("secret", ["", "whsec_a", "whsec_%"])
def test_a_secret_that_cannot_sign_is_a_usage_error(workspace: Workspace, secret: str) -> None:
    done = workspace.run("listen", "--forward-to", "http://127.0.0.1:9/", "--secret", secret)
    assert done.status == 2
    assert "must be whsec_ followed by the secret in base64" in done.err


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "ftp://127.0.0.1/",
        "127.0.0.1:9000",
        "http://",
        "http://127.0.0.1:abc/hooks",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a\tb",
        "http://127.0.0.1 /x",
        "http://[::1",
        "http://user:hunter2@127.0.0.1/",
    ],
)
def test_only_urls_on_this_machine_are_accepted(workspace: Workspace, url: str) -> None:
    done = workspace.run("listen", "--forward-to", url)
    assert done.status == 2
    assert "a URL on this machine" in done.err
    assert "hunter2" not in done.err


# --- which changes are sent -----------------------------------------------------------------------


def event(kind: str, status: str, done_at: str = "2026-01-02T00:00:00.000Z") -> StreamEvent:
    """An event about one job, which was updated on January 2."""
    done = status in ("COMPLETED", "FAILED", "CANCELLED")
    job = documented.example("Job") | {
        "status": status,
        "done": done,
        "updated_at": "2026-01-02T00:00:00.000Z",
        "done_at": done_at if done else None,
    }
    return StreamEvent(kind, (cast(Job, job),))


@pytest.mark.parametrize(
    ("events", "sent"),
    [
        ("u:PENDING u:IN_PROGRESS u:IN_PROGRESS u:COMPLETED", ["IN_PROGRESS", "COMPLETED"]),
        ("s:IN_PROGRESS u:IN_PROGRESS u:FAILED", ["FAILED"]),
        ("s:PENDING s:IN_PROGRESS u:IN_PROGRESS", []),
        ("u:FAILED u:COMPLETED", ["FAILED", "COMPLETED"]),
        ("u:IN_PROGRESS u:COMPLETED", ["COMPLETED"]),  # a truncated snapshot left it out
    ],
)
def test_each_status_is_sent_once(events: str, sent: list[str]) -> None:
    changes = WebhookFilter()
    found = []
    for each in events.split():
        kind, status = each.split(":")
        change = event("update" if kind == "u" else "snapshot", status)
        found += [job["status"] for job in changes.take(change)]
    assert found == sent


def test_a_change_of_the_archive_sends_nothing() -> None:
    archived = event("update", "COMPLETED", done_at="2026-01-01T00:00:00.000Z")
    assert list(WebhookFilter().take(archived)) == []
