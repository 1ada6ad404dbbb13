"""Commands on a terminal: the cursor, colours, widths, times."""

import json
import os
import pty
import re
import select
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT, Served, Workspace, submit_movie
from tests.support.service import JOB


def on_a_terminal(
    workspace: Workspace,
    *arguments: str,
    until: bytes = b"",
    then: signal.Signals = signal.SIGINT,
    **more: str,
) -> tuple[int, str]:
    """Run a command on a terminal, with a signal (Ctrl-C) once `until` was written. Returns the
    status and the output."""
    ours, theirs = pty.openpty()
    terminal = Path(os.ttyname(theirs))
    variables = {"TERM": "xterm-256color", "COLUMNS": "120"} | more
    written, interrupted = b"", not until
    try:
        with workspace.fork(*arguments, out=terminal, err=terminal, **variables) as process:
            while process.poll() is None or _has_more(ours):
                if _has_more(ours):
                    written += os.read(ours, 65_536)
                if not interrupted and until in written:
                    process.send_signal(then)
                    interrupted = True
            return process.wait(TIMEOUT), written.decode()
    finally:
        os.close(ours)
        os.close(theirs)


def _has_more(terminal: int) -> bool:
    """Whether there is something to read, now or within 10 ms."""
    return bool(select.select([terminal], [], [], 0.01)[0])


SHOW_CURSOR = "\x1b[?25h"
HIDE_CURSOR = "\x1b[?25l"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_watch_on_a_terminal_restores_the_cursor(endless: Served, sent: signal.Signals) -> None:
    ann = endless.as_user("terminal")
    job_id = submit_movie(ann)
    status, written = on_a_terminal(ann, "watch", until=job_id.encode(), then=sent)
    assert status == 128 + sent
    assert "Traceback" not in written
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


def test_watch_on_a_terminal_ends_with_the_outcome(served: Served) -> None:
    ann = served.as_user("terminal")
    job_id = submit_movie(ann)
    status, written = on_a_terminal(ann, "watch", job_id)
    assert status == 0
    assert f"{job_id} COMPLETED by callback" in written
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


@pytest.fixture(scope="module")
def links(served: Served) -> tuple[Workspace, dict[tuple[str, ...], tuple[str, ...]]]:
    """A workspace with jobs, and by command the ids and links that it shows."""
    ann = served.as_user("links")
    url = "http://127.0.0.1:9/hooks/of/a/receiver-that-is-not-there?with=a&long=query"
    prompt = "A kite over the dunes at https://example.com/a/rather/long/link/to/the/dunes"
    job_id = submit_movie(ann, webhookUrl=url, input=JOB["input"] | {"prompt": prompt})
    link = ann.run("submit", "-", "--wait", "20", "--json", stdin=json.dumps(JOB)).json()
    assert ann.run("watch", job_id).status == 0
    delivery = ann.run("deliveries", "list", "--json").json()["deliveries"][0]["id"]
    return ann, {
        ("jobs", "list"): (job_id, "https://example.com/a/rather/long/link/to/the/dunes"),
        ("jobs", "show", link["request_id"], "--history"): (link["result"]["videoUrl"],),
        ("deliveries", "list"): (delivery, job_id),
        ("deliveries", "show", delivery): (url,),
    }


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_ids_and_links_are_not_wrapped_at_any_width(
    links: tuple[Workspace, dict[tuple[str, ...], tuple[str, ...]]], columns: str
) -> None:
    ann, shown = links
    for arguments, texts in shown.items():
        status, written = on_a_terminal(ann, *arguments, COLUMNS=columns)
        assert status == 0
        assert all(text in written for text in texts), arguments


def test_times_are_printed_in_local_time(served: Served) -> None:
    ann = served.as_user("zones")
    job_id = submit_movie(ann)
    there = Workspace(ann.folder, ann.settings, {"TZ": "NPT-5:45"})
    _, written = on_a_terminal(there, "jobs", "show", job_id)
    assert re.search(r"created_at: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+05:45", written)
    printed = there.run("jobs", "show", job_id, "--json").json()["created_at"]
    assert printed.endswith("Z")
    _, history = on_a_terminal(there, "jobs", "show", job_id, "--history")
    first = r"\r\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+05:45  event +seq=1 "
    assert re.search(first, history)
