"""All commands: help, version, usage, settings, and what is printed."""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from importlib.metadata import version
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import typer

from receiver.cli.common import coroutine
from receiver.cli.main import app
from receiver.cli.output import on_one_line
from tests.cli.conftest import TIMEOUT, Served, Workspace, submit_movie
from tests.support.service import JOB


def test_sigterm_cancels_a_command_where_it_waits() -> None:
    """Elsewhere it could leave a store open, whose threads keep the process alive."""
    steps = []

    @coroutine
    async def waits() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        steps.append("opened")
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("closed")

    with pytest.raises(SystemExit) as ended:
        waits()
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


@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
def test_help_fits_80_columns_and_nothing_in_it_is_cut(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        app([*words, "--help"], prog_name="receiver")
    _usage, *lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for line in lines:
        assert not line.endswith(("...", "-")), line
        assert line.count("[") == line.count("]"), line  # a default is on one line


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
    assert "listen --forward-to localhost:3000/hooks" in examples
    for example in examples:
        rest = shlex.split(example.partition(" <")[0])
        command = typer.main.get_command(app)
        while isinstance(command, typer.core.TyperGroup):
            command, rest = command.commands[rest[0]], rest[1:]
        with command.make_context(example, rest) as context:
            assert context.params


def test_the_version_is_printed(workspace: Workspace) -> None:
    assert workspace.run("--version").out == f"receiver {version('job-receiver')}\n"


@pytest.mark.parametrize(
    "words", [("nix",), ("keys", "nix"), ("serve", "--nix"), ("keys", "revoke")]
)
def test_a_usage_error_is_status_2_on_stderr(workspace: Workspace, words: tuple[str, ...]) -> None:
    done = workspace.run(*words)
    assert (done.status, done.out) == (2, "")
    assert "receiver" in done.err


@pytest.mark.parametrize("words", ["keys list", "jobs list", "backup nowhere/copy.db", "copy x"])
def test_an_unknown_setting_only_adds_one_warning(served: Served, words: str) -> None:
    user = served.as_user("warned")
    usual = user.run(*words.split())
    odd = user.with_settings(POL_MIN="3").run(*words.split())
    warning = "RECEIVER_POL_MIN is not a setting; did you mean RECEIVER_POLL_MIN?\n"
    assert odd.err == warning + usual.err
    assert (odd.status, odd.out) == (usual.status, usual.out)


def test_what_the_output_s_encoding_lacks_is_escaped(served: Served) -> None:
    ann = served.as_user("letters")
    job_id = submit_movie(ann, input=JOB["input"] | {"prompt": "Brücke, 灯台"})
    there = Workspace(ann.folder, ann.settings, {"PYTHONIOENCODING": "ascii"})
    with there.running("watch", job_id) as process:
        out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, "")
    assert r"Br\xfccke, \u706f\u53f0" in out


def test_control_characters_are_escaped() -> None:
    assert on_one_line("a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé") == r"a\x1b[2Jb\r\nc\u2028d\u202ee\x9bé"


def test_a_reader_that_is_gone_ends_a_command_quietly(served: Served) -> None:
    workspace = served.as_user("unread")
    (workspace.folder / "movie.json").write_text(json.dumps(JOB))
    with workspace.running("submit", "movie.json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(TIMEOUT) == 1
