"""What holds for every command: help, version, usage, and what a terminal gets."""

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from importlib.metadata import version

import pytest
import typer

from receiver.cli.main import app
from receiver.cli.output import on_one_line
from tests.cli.conftest import COMMAND, PATIENCE, Place, Served
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


def test_the_version_is_told(place: Place) -> None:
    assert place.run("--version").out == f"receiver {version('receiver')}\n"


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
    warning = "RECEIVER_POL_MIN is no setting; did you mean RECEIVER_POLL_MIN?\n"
    assert odd.err.startswith(warning)
    assert odd.err.count("POL_MIN") == 1
    assert len(odd.err.splitlines()) == 1 + len(usual.err.splitlines())
    assert odd.status == usual.status
    assert len(odd.out.splitlines()) == len(usual.out.splitlines())
    assert "POL_MIN" not in odd.out


def test_an_unknown_name_is_told_beside_what_it_leaves_out(place: Place) -> None:
    done = place.with_settings(API_KEYS="rk_x").run("jobs", "list")
    assert done.status == 2
    missing, unknown = done.err.splitlines()
    assert missing.startswith("RECEIVER_API_KEY is not set")
    assert unknown == "RECEIVER_API_KEYS is no setting; did you mean RECEIVER_API_KEY?"
    checked = place.with_settings(PROVIDER="nobody", ZZZ="1").run("doctor")
    assert [line.split("\t")[0] for line in checked.out.splitlines()] == ["remark", "failed"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "SAMSAR_API_KEY",
            "a b",
            "RECEIVER_SAMSAR_API_KEY cannot be used: a key is visible ASCII without spaces",
        ),
        ("RATE_LIMIT", "x", "RECEIVER_RATE_LIMIT is 'x': N/second, N/minute or N/hour is needed"),
        ("PORT", "x", "RECEIVER_PORT is 'x': input should be a valid integer"),
    ],
)
def test_the_words_of_a_fault_arrive_whole(place: Place, name: str, value: str, told: str) -> None:
    done = place.with_settings(**{name: value}).run("doctor")
    assert done.status == 2
    assert done.err.startswith(told)


def on_a_terminal(place: Place, *words: str, until: bytes = b"", **more: str) -> tuple[int, str]:
    """Give a command on a terminal; Ctrl-C once `until` was seen. Gives status and all it wrote."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=place.folder,
            env=place.environment() | {"TERM": "xterm-256color", "COLUMNS": "120"} | more,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        written = b""
        interrupted = not until
        while True:
            try:
                chunk = os.read(ours, 65_536)
            except OSError:  # EIO: the other side is closed
                break
            if not chunk:
                break
            written += chunk
            if not interrupted and until in written:
                process.send_signal(signal.SIGINT)
                interrupted = True
        return process.wait(timeout=PATIENCE), written.decode()
    finally:
        os.close(ours)


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
    assert f"{job_id} COMPLETED known by callback" in written
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


def test_what_could_steer_a_terminal_is_shown_and_not_sent() -> None:
    assert on_one_line("a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé") == (
        r"a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé"
    )
