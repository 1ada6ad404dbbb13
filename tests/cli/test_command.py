"""What holds for every command: help, version, usage, and what a terminal gets."""

import json
import os
import pty
import re
import select
import signal
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from receiver.cli.main import app
from receiver.cli.output import on_one_line
from tests.cli.conftest import MOVIE, TIMEOUT, Place, Served
from tests.cli.test_jobs_over_http import submitted


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and group, by its words."""

    def below(group: typer.Typer, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for command in group.registered_commands:
            assert command.callback is not None
            yield (*words, command.name or command.callback.__name__)
        for nested in group.registered_groups:
            assert nested.name is not None
            assert nested.typer_instance is not None
            yield (*words, nested.name)
            yield from below(nested.typer_instance, (*words, nested.name))

    yield from below(app, ())


def test_there_are_the_commands_of_the_contract() -> None:
    assert {" ".join(words) for words in commands()} == {
        "serve",
        "sandbox",
        "demo",
        "keys",
        "keys create",
        "keys list",
        "keys revoke",
        "keys rotate-secret",
        "submit",
        "jobs",
        "jobs list",
        "jobs show",
        "jobs cancel",
        "watch",
        "deliveries",
        "deliveries list",
        "deliveries retry",
        "deliveries show",
        "listen",
        "holds",
        "holds list",
        "holds end",
        "doctor",
        "backup",
        "copy",
    }


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_help_that_says_what_it_does(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app([*words, "--help"], prog_name="receiver")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: receiver {' '.join(words)} ")
    described = shown.split("\n\n")[1]
    assert re.match(r" +[A-Z].*", described), shown
    assert "\x1b" not in shown


def test_the_version_is_printed(place: Place) -> None:
    assert place.run("--version").out == f"receiver {version('job-receiver')}\n"


@pytest.mark.parametrize(
    "words", [("nix",), ("keys", "nix"), ("serve", "--nix"), ("keys", "revoke")]
)
def test_wrong_usage_is_2_and_goes_to_stderr(place: Place, words: tuple[str, ...]) -> None:
    done = place.run(*words)
    assert (done.status, done.out) == (2, "")
    assert "receiver" in done.err


READERS = (
    ("keys", "create", "warned"),
    ("keys", "list"),
    ("keys", "revoke", "rk_of_nobody"),
    ("keys", "rotate-secret", "nobody"),
    ("submit", "-"),
    ("jobs", "list"),
    ("jobs", "show", "job_x"),
    ("jobs", "cancel", "job_x"),
    ("watch", "job_x"),
    ("deliveries", "list"),
    ("deliveries", "retry", "dlv_x"),
    ("deliveries", "retry", "--state", "exhausted"),
    ("deliveries", "show", "dlv_x"),
    ("holds", "list"),
    ("holds", "end", "sandbox"),
    ("backup", "nowhere/copy.db"),
    ("copy", "no-address"),
)
"""Every command that reads settings, but for those whose own words have the warnings: serve and
sandbox log them, doctor finds them, demo has its own test."""


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_an_unknown_name_is_warned_about_once_and_changes_nothing_else(
    served: Served, words: tuple[str, ...]
) -> None:
    place = served.as_user("warned")
    usual = place.run(*words, given="{}")
    odd = place.with_settings(POL_MIN="3").run(*words, given="{}")
    warning = "RECEIVER_POL_MIN is not a setting; did you mean RECEIVER_POLL_MIN?\n"
    assert odd.err.startswith(warning)
    assert odd.err.count("POL_MIN") == 1
    assert len(odd.err.splitlines()) == 1 + len(usual.err.splitlines())
    assert odd.status == usual.status
    assert len(odd.out.splitlines()) == len(usual.out.splitlines())
    assert "POL_MIN" not in odd.out


def test_an_unknown_name_is_reported_beside_the_missing_one(place: Place) -> None:
    done = place.with_settings(API_KEYS="rk_x").run("jobs", "list")
    assert done.status == 2
    missing, unknown = done.err.splitlines()
    assert missing.startswith("RECEIVER_API_KEY is not set")
    assert unknown == "RECEIVER_API_KEYS is not a setting; did you mean RECEIVER_API_KEY?"
    checked = place.with_settings(PROVIDER="nobody", ZZZ="1").run("doctor")
    assert [line.split("\t")[0] for line in checked.out.splitlines()] == ["remark", "failed"]


@pytest.mark.parametrize(
    ("name", "value", "printed"),
    [
        (
            "SAMSAR_API_KEY",
            "a b",
            "RECEIVER_SAMSAR_API_KEY cannot be used: a key must be visible ASCII without spaces",
        ),
        ("RATE_LIMIT", "x", "RECEIVER_RATE_LIMIT is 'x': N/second, N/minute or N/hour is needed"),
        ("PORT", "x", "RECEIVER_PORT is 'x': input should be a valid integer"),
    ],
)
def test_the_words_of_a_fault_arrive_whole(
    place: Place, name: str, value: str, printed: str
) -> None:
    done = place.with_settings(**{name: value}).run("doctor")
    assert done.status == 2
    assert done.err.startswith(printed)


def on_a_terminal(place: Place, *words: str, until: bytes = b"", **more: str) -> tuple[int, str]:
    """Give a command on a terminal; Ctrl-C once `until` was seen. Gives status and all it wrote."""
    ours, theirs = pty.openpty()
    terminal = Path(os.ttyname(theirs))
    variables = {"TERM": "xterm-256color", "COLUMNS": "120"} | more
    written, interrupted = b"", not until
    try:
        process = place.fork(*words, out=terminal, err=terminal, **variables)
        while process.poll() is None or _has_more(ours):
            if _has_more(ours):
                written += os.read(ours, 65_536)
            if not interrupted and until in written:
                process.send_signal(signal.SIGINT)
                interrupted = True
        return process.wait(TIMEOUT), written.decode()
    finally:
        os.close(ours)
        os.close(theirs)


def _has_more(terminal: int) -> bool:
    """Whether there is something to read, now or within a moment."""
    return bool(select.select([terminal], [], [], 0.01)[0])


SHOW_CURSOR = "\x1b[?25h"
HIDE_CURSOR = "\x1b[?25l"


def test_watching_on_a_terminal_shows_a_bar_and_gives_the_terminal_back(
    endless: Served,
) -> None:
    ann = endless.as_user("terminal")
    job_id = submitted(ann)
    status, written = on_a_terminal(ann, "watch", until=job_id.encode())
    assert status == 130
    assert "Traceback" not in written
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


def test_watching_one_job_on_a_terminal_ends_with_its_outcome(served: Served) -> None:
    ann = served.as_user("terminal")
    job_id = submitted(ann)
    status, written = on_a_terminal(ann, "watch", job_id)
    assert status == 0
    assert f"{job_id} COMPLETED via callback" in written
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)


def test_colours_are_for_terminals_and_not_for_who_wants_none(served: Served) -> None:
    ann = served.as_user("colours")
    submitted(ann)
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    _, plain = on_a_terminal(ann, "jobs", "list", NO_COLOR="1")
    _, coloured = on_a_terminal(ann, "watch", ann.run("jobs", "list").out.split("\t")[0])
    assert "request_id" in plain
    assert not colour.search(plain)
    assert colour.search(coloured)


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_at_any_width_an_id_and_a_link_stay_whole(served: Served, columns: str) -> None:
    ann = served.as_user(f"width{columns}")
    url = "http://127.0.0.1:9/hooks/of/a/receiver-that-is-not-there?with=a&long=query"
    prompt = "A kite over the dunes at https://example.com/a/rather/long/link/to/the/dunes"
    job_id = submitted(ann, webhookUrl=url, input=MOVIE["input"] | {"prompt": prompt})
    link = ann.run("submit", "-", "--wait", "20", "--json", given=json.dumps(MOVIE)).json()
    assert ann.run("watch", job_id).status == 0
    delivery = ann.run("deliveries", "list", "--json").json()["deliveries"][0]["id"]

    def shown(*words: str) -> str:
        status, written = on_a_terminal(ann, *words, COLUMNS=columns)
        assert status == 0
        return written

    jobs = shown("jobs", "list")
    assert f"{job_id}" in jobs
    assert "https://example.com/a/rather/long/link/to/the/dunes" in jobs
    assert link["result"]["videoUrl"] in shown("jobs", "show", link["request_id"], "--history")
    listed = shown("deliveries", "list")
    assert delivery in listed
    assert job_id in listed
    assert url in shown("deliveries", "show", delivery)


def test_a_list_that_is_empty_says_so(served: Served) -> None:
    ann = served.as_user("new")
    assert ann.run("jobs", "list").out == "No jobs.\n"
    assert ann.run("jobs", "list", "--json").json() == {"jobs": [], "next_cursor": None}
    assert ann.run("deliveries", "list").out == "No deliveries.\n"
    _, written = on_a_terminal(ann, "jobs", "list")
    assert written == "No jobs.\r\n"


def test_times_are_printed_in_this_machine_s_zone(served: Served) -> None:
    ann = served.as_user("zones")
    job_id = submitted(ann)
    there = Place(ann.folder, ann.settings, {"TZ": "NPT-5:45"})
    _, written = on_a_terminal(there, "jobs", "show", job_id)
    assert re.search(r"created_at +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+05:45", written)
    printed = there.run("jobs", "show", job_id, "--json").json()["created_at"]
    assert printed.endswith("Z")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(place: Place, shell: str) -> None:
    variables = {"COMP_WORDS": "receiver deliv", "COMP_CWORD": "1"}
    variables |= {
        "_TYPER_COMPLETE_ARGS": "receiver deliv",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    there = Place(place.folder, {}, variables | {"_RECEIVER_COMPLETE": f"complete_{shell}"})
    assert "deliveries" in there.start().communicate(timeout=TIMEOUT)[0]


def test_what_could_steer_a_terminal_is_shown_and_not_sent() -> None:
    assert on_one_line("a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé") == (
        r"a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé"
    )
