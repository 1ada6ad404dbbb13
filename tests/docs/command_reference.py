"""Generates docs/commands.md from the commands' signatures:
`python -m tests.docs.command_reference`."""

import inspect
from collections.abc import Callable, Iterator
from enum import EnumType
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo

from receiver.cli.main import app

FILE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
HEAD = """# Commands

`submit`, `watch`, `listen`, `jobs` and `deliveries` call a running service, from any machine: \
set its address with `RECEIVER_URL`, and your API key with `RECEIVER_API_KEY`. Run the others \
where the service runs, with [its settings](settings.md).

Lists are aligned on a terminal, and tab-separated lines elsewhere. All commands but `serve`, \
`sandbox`, `demo`, `listen`, `backup` and `copy` have `--json`, which prints JSON for programs. \
Exit statuses: 0 success, 1 failure, 2 wrong usage or settings, 130 Ctrl-C, \
143 SIGTERM; `serve` and `sandbox` exit with 0 after both. Errors go to stderr.

`receiver --version` prints the version. `receiver --install-completion` installs the completion \
of commands, options and states in bash, zsh, fish and PowerShell.

This page is generated from `receiver/cli/` (`python -m tests.docs.command_reference`).
"""
IN_HEAD = {"json"}
"""Options that many commands have, which the page explains once."""


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_group(app, "receiver")])


def _group(group: typer.Typer, prefix: str) -> Iterator[str]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield from _command(command.callback, command.name, prefix)
    for nested in group.registered_groups:
        assert nested.typer_instance is not None
        yield from _group(nested.typer_instance, f"{prefix} {nested.name}")


def _command(function: Callable[..., Any], name: str | None, prefix: str) -> Iterator[str]:
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    shown = [each for each in parameters if each.name not in IN_HEAD]
    arguments = [_label(each) for each in shown if isinstance(_info(each), ArgumentInfo)]
    title = " ".join([prefix, name or function.__name__, *arguments])
    text, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\n\n\b\nExamples:\n")
    yield f"## {title}\n"
    yield " ".join(text.split()) + "\n"
    if examples:
        yield f"```console\n{inspect.cleandoc(examples)}\n```\n"
    if shown:
        yield "| | |"
        yield "|---|---|"
        for each in shown:
            is_plain = each.default in (None, False, each.empty)
            default = "" if is_plain else f" Default: `{each.default}`."
            yield f"| `{_label(each)}` | {_info(each).help}{default} |"
        yield ""


def _info(parameter: inspect.Parameter) -> OptionInfo | ArgumentInfo:
    (info,) = parameter.annotation.__metadata__
    assert isinstance(info, OptionInfo | ArgumentInfo)
    return info


def _label(parameter: inspect.Parameter) -> str:
    """What to type: an option with its value, or an argument."""
    info = _info(parameter)
    if isinstance(info, ArgumentInfo):
        is_required = parameter.default is inspect.Parameter.empty
        return f"{info.metavar}" if is_required else f"[{info.metavar}]"
    name, kind = parameter.name.rstrip("_"), parameter.annotation.__origin__
    choices = r"\|".join(str(each) for part in (kind, *get_args(kind)) for each in _choices(part))
    value = "" if kind is bool else f" {choices or info.metavar or name.upper()}"
    return f"--{name.replace('_', '-')}{value}"


def _choices(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif isinstance(kind, EnumType):
        yield from kind.__members__.values()


if __name__ == "__main__":
    FILE.write_text(reference())
    print(f"{FILE.name} is written.")
