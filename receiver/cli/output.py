"""What a command prints: tables on a terminal, plain lines elsewhere, JSON for programs.

Texts of the provider and of users reach a terminal, so whatever could steer one is shown, not sent.
rich takes its colours from the terminal, and heeds NO_COLOR.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from store.records import Millis

STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "IN_PROGRESS": "cyan",
    "delivered": "green",
    "exhausted": "red",
    "disabled": "yellow",
    "ok": "green",
    "failed": "red",
    "remark": "yellow",
    "revoked": "yellow",
}
"""Words that are told apart at a glance, wherever they fill a cell."""


def is_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """One line, as it is."""
    print(text, flush=True)


def on_one_line(text: str) -> str:
    """The text without what could steer a terminal or end the line."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on a terminal; elsewhere a line for each row, its cells parted by tabs."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    if not is_terminal():
        for row in cells:
            say("\t".join(row))
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in cells:
        shown.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    Console().print(shown)


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one pair a line; a value of None is left out."""
    told = [(name, value) for name, value in pairs if value is not None]
    if not is_terminal():
        for name, value in told:
            say(f"{name}: {_cell(value)}")
        return
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in told:
        text = _cell(value)
        shown.add_row(name, Text(text, style=STYLES.get(text, "")))
    Console().print(shown)


def more(next_cursor: str | None) -> None:
    """Say that there is more than was listed; on stderr, since it is no row."""
    if next_cursor is not None:
        print(f"There are more: --cursor {next_cursor}", file=sys.stderr)


def as_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON document: one line for programs, set in for people."""
    say(json.dumps(document, indent=2 if is_terminal() else None))


def moment(at: Millis | datetime | None) -> str | None:
    """A time in UTC, to the second."""
    if at is None:
        return None
    when = at if isinstance(at, datetime) else datetime.fromtimestamp(at / 1_000, UTC)
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict() | list():
            return json.dumps(value)
        case _:
            return on_one_line(str(value))
