"""The pages about commands, settings and metrics name all that exists, in the code's words."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup, TyperOption

from receiver.cli.main import app
from receiver.metrics import Metrics
from receiver.setting_values import Rate
from receiver.settings import (
    AddressSettings,
    ArchiveSettings,
    ClientSettings,
    LogSettings,
    SandboxSettings,
    ServeSettings,
    StoreSettings,
)
from tests.docs.pages import README, ROOT

COMMANDS, METRICS, SETTINGS = (
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("commands", "metrics", "settings")
)
FIELDS: dict[str, FieldInfo] = {
    name: field
    for kind in (
        *(StoreSettings, ArchiveSettings, LogSettings, AddressSettings),
        *(ServeSettings, SandboxSettings, ClientSettings),
    )
    for name, field in kind.model_fields.items()
}


def rows(text: str) -> list[list[str]]:
    """The cells of each row that begins with a name."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def commands(group: Any, prefix: str) -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def test_commands_and_their_options() -> None:
    sections = re.split(r"^## ", COMMANDS, flags=re.MULTILINE)[1:]
    named = dict(commands(typer.main.get_command(app), "receiver"))
    assert len(sections) == len(named) > 10
    for name, command in named.items():
        [section] = [each for each in sections if re.match(rf"{name}( [A-Z[]|\n)", each)]
        parameters: Any = [each for each in command.params if each.name not in ("help", "json")]
        assert [text.partition(" Default: ")[0] for _, text in rows(section)] == [
            each.help for each in parameters
        ]
        for (label, _), each in zip(rows(section), parameters, strict=True):
            assert (each.opts[0] if isinstance(each, TyperOption) else each.metavar) in label


def test_metrics() -> None:
    suffixes = {"counter": "_total", "info": "_info"}
    table = [(name, kind, text) for name, kind, _, text in rows(METRICS.partition("\n## ")[0])]
    assert table == [
        (f"`{family.name}{suffixes.get(family.type, '')}`", family.type, family.documentation)
        for family in Metrics("1").registry.collect()
        if family.name.startswith("receiver_")
    ]


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "none; needed"
    is_unset = field.default_factory is not None or field.default in (None, ())
    return "none" if is_unset else f"`{as_text(field.default)}`"


def as_text(value: Any) -> str:
    """A default as one would write it in the environment."""
    match value:
        case bool():
            return str(value).lower()
        case Rate(count, seconds):
            return f"{count}/{ {1: 'second', 60: 'minute', 3600: 'hour'}[seconds] }"
        case tuple():
            return ",".join(map(as_text, value))
        case _:
            return str(value)


def test_settings() -> None:
    assert {name: cells for name, *cells in rows(SETTINGS)} == {
        f"`{name.upper()}`": [default(field), " ".join((field.description or "").split())]
        for name, field in FIELDS.items()
    }


def readme_rows() -> dict[str, str]:
    """By setting: the default in its row."""
    section = README.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    return {name: row[1] for row in rows(section) for name in re.findall(r"`(\w+)`", row[0])}


def test_the_readme_names_every_setting() -> None:
    assert set(readme_rows()) == {name.upper() for name in ServeSettings.model_fields}


@pytest.mark.parametrize(("name", "field"), ServeSettings.model_fields.items())
def test_the_readme_has_its_default(name: str, field: FieldInfo) -> None:
    if field.default_factory is None and field.default not in (None, ()):
        words = re.split(r"[`;\s]+|, ", readme_rows()[name.upper()])
        assert as_text(field.default) in words
