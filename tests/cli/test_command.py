"""All commands: help, version, usage, settings, and what is printed."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import typer

from receiver.cli import output
from receiver.cli.command import Commands
from receiver.cli.main import app
from receiver.cli.output import on_one_line
from tests.cli.conftest import COMMAND, TIMEOUT, Served, Workspace, submit_movie
from tests.support.service import JOB


@pytest.fixture
def sigterm_exits() -> Iterator[None]:
    """SIGTERM raises SystemExit out of any line, as `main` sets it."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm_exits")
def test_sigterm_cancels_a_command_where_it_waits() -> None:
    """Elsewhere it could leave a store open, whose threads keep the process alive."""
    steps = []
    one = Commands()

    @one.command()
    async def wait() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        steps.append("opened")
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("closed")

    with pytest.raises(SystemExit) as ended:
        one([])
    assert ended.value.code == 128 + signal.SIGTERM
    assert steps == ["opened", "closed"]


def test_ctrl_c_while_modules_are_imported_prints_nothing(workspace: Workspace) -> None:
    interrupting = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    (workspace.folder / "typer.py").write_text(interrupting)
    with workspace.running("jobs", "list") as process:
        printed = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, *printed) == (130, "", "")


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


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_a_help_text(
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


def test_the_examples_in_the_help_texts_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.json").write_text("{}")
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"{}")))
    examples = []
    for words in commands():
        with pytest.raises(SystemExit):
            app([*words, "--help"], prog_name="receiver")
        examples += re.findall(r"^ {4}receiver (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert "listen --forward-to http://127.0.0.1:3000/hooks" in examples
    for example in examples:
        rest = shlex.split(example.partition(" <")[0])
        command = typer.main.get_command(app)
        while isinstance(command, typer.core.TyperGroup):
            command, rest = command.commands[rest[0]], rest[1:]
        with command.make_context(example, rest) as context:
            assert context.params


def test_an_argument_that_is_not_utf_8_is_a_usage_error(workspace: Workspace) -> None:
    done = workspace.run("jobs", "list", "--search", "\udcff")
    assert (done.status, done.err) == (2, "An argument is not valid UTF-8.\n")


def test_the_version_is_printed(workspace: Workspace) -> None:
    assert workspace.run("--version").out == f"receiver {version('job-receiver')}\n"


@pytest.mark.parametrize(
    "words", [("nix",), ("keys", "nix"), ("serve", "--nix"), ("keys", "revoke")]
)
def test_a_usage_error_is_status_2_on_stderr(workspace: Workspace, words: tuple[str, ...]) -> None:
    done = workspace.run(*words)
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
    ("deliveries", "test", "ftp://127.0.0.1"),
    ("backup", "nowhere/copy.db"),
    ("copy", "no-address"),
)
"""Every command that reads settings, except those that report warnings in their own way: serve and
sandbox log them, doctor lists them, and demo has its own test."""


@pytest.fixture(scope="module")
def warned(served: Served) -> Workspace:
    return served.as_user("warned")


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_an_unknown_setting_only_adds_one_warning(
    warned: Workspace, words: tuple[str, ...]
) -> None:
    usual = warned.run(*words, stdin="{}")
    odd = warned.with_settings(POL_MIN="3").run(*words, stdin="{}")
    warning = "RECEIVER_POL_MIN is not a setting; did you mean RECEIVER_POLL_MIN?\n"
    assert odd.err.startswith(warning)
    assert odd.err.count("POL_MIN") == 1
    assert len(odd.err.splitlines()) == 1 + len(usual.err.splitlines())
    assert odd.status == usual.status
    assert len(odd.out.splitlines()) == len(usual.out.splitlines())
    assert "POL_MIN" not in odd.out


def test_an_unknown_setting_is_reported_with_a_missing_one(workspace: Workspace) -> None:
    done = workspace.with_settings(API_KEYS="rk_x").run("jobs", "list")
    assert done.status == 2
    missing, unknown = done.err.splitlines()
    assert missing.startswith("RECEIVER_API_KEY is not set")
    assert unknown == "RECEIVER_API_KEYS is not a setting; did you mean RECEIVER_API_KEY?"
    checked = workspace.with_settings(PROVIDER="nobody", ZZZ="1").run("doctor")
    assert [line.split("\t")[0] for line in checked.out.splitlines()] == ["warning", "failed"]


@pytest.mark.parametrize(
    ("name", "value", "printed"),
    [
        (
            "SAMSAR_API_KEY",
            "a b",
            "RECEIVER_SAMSAR_API_KEY cannot be used: a key must be visible ASCII without spaces",
        ),
        ("RATE_LIMIT", "x", "RECEIVER_RATE_LIMIT is 'x': N/second, N/minute or N/hour is needed"),
        ("PORT", "x", "RECEIVER_PORT is 'x': Input should be a valid integer"),
    ],
)
def test_a_settings_error_is_printed_unredacted(
    workspace: Workspace, name: str, value: str, printed: str
) -> None:
    done = workspace.with_settings(**{name: value}).run("doctor")
    assert done.status == 2
    assert done.err.startswith(printed)


def test_what_the_output_s_encoding_lacks_is_escaped(served: Served) -> None:
    ann = served.as_user("letters")
    job_id = submit_movie(ann, input=JOB["input"] | {"prompt": "Brücke, 灯台"})
    there = Workspace(ann.folder, ann.settings, {"PYTHONIOENCODING": "ascii"})
    with there.running("watch", job_id) as process:
        out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, "")
    assert r"Br\xfccke, \u706f\u53f0" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(workspace: Workspace, shell: str) -> None:
    variables = {
        "_RECEIVER_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "receiver deliv",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "receiver deliv",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "deliveries" in Workspace(workspace.folder, {}, variables).run().out


def test_control_characters_are_escaped() -> None:
    assert on_one_line("a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé") == r"a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_name_from_a_provider_is_escaped_like_its_value(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: terminal)
    output.Output({}, {"result.a\x1b[31m\nstatus": "b\x1b[2J"}).print(json=False)
    shown = capsys.readouterr().out
    assert r"result.a\x1b[31m\nstatus" in shown
    assert (shown.count("\x1b"), shown.count("\n")) == (0, 1)


def test_a_reader_that_is_gone_ends_a_command_quietly(served: Served) -> None:
    workspace = served.as_user("unread")
    (workspace.folder / "movie.json").write_text(json.dumps(JOB))
    with workspace.running("submit", "movie.json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(TIMEOUT) == 1


@pytest.mark.parametrize(("command", "status"), [("jobs list", 0), ("serve --port 0", 2)])
def test_closed_standard_streams_end_no_command(served: Served, command: str, status: int) -> None:
    workspace = served.as_user("streamless")
    line = f"{shlex.join(COMMAND)} {command} <&- >&- 2>&-"
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=workspace.folder,
        env=workspace.environment(),
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == status
