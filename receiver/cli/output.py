"""Output of commands: aligned tables on a terminal, cells separated by tabs elsewhere, JSON for
programs.

Nothing is wrapped: a terminal wraps what is wider than itself, and an id or a link can be copied
from it whole. Texts of providers and users may contain terminal control characters, which are
escaped. rich detects the terminal's colours and respects NO_COLOR.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

STYLES: Final = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "IN_PROGRESS": "cyan",
    "delivered": "green",
    "exhausted": "red",
    "failing": "red",
    "disabled": "yellow",
    "ok": "green",
    "failed": "red",
    "warning": "yellow",
    "revoked": "yellow",
}
"""Styles of cells with exactly these words."""
DECIMALS: Final = {
    currency: decimals
    for decimals, currencies in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for currency in currencies.split()
}
"""Decimals of the currencies that do not have two (ISO 4217)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A row of names, then the rows: aligned on a terminal; elsewhere separated by tabs."""

    columns: str
    """The members to show, separated by spaces."""
    rows: Iterable[Mapping[str, object]]
    empty: str
    """Printed if there are no rows and no further page."""
    cursor: str | None = None
    """Where the next page begins, if there are more rows."""


def emit(as_json: bool, document: object, *parts: str | Mapping[str, object] | Table) -> None:
    """Print what a command has found: for programs the document; for people lines, tables, and
    mappings, whose members become lines unless they are None."""
    if as_json:
        say(json.dumps(document, indent=2 if sys.stdout.isatty() else None))
        return
    for part in parts:
        match part:
            case str():
                say(on_one_line(part))
            case Table():
                _print_table(part)
            case _:
                for name, value in part.items():
                    if value is not None:
                        say(f"{on_one_line(name)}: {_cell(value)}")


def say(text: str = "") -> None:
    """Print one line unchanged."""
    print(text, flush=True)


def on_one_line(text: str) -> str:
    """The text with control characters and line breaks escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def money(amount: str, currency: str) -> str:
    """The amount with at least the currency's decimals; further ones are kept."""
    whole, _, fraction = amount.partition(".")
    fraction = fraction.ljust(DECIMALS.get(currency, 2), "0")
    return f"{whole}.{fraction}" if fraction else whole


def local_times(document: Mapping[str, Any], precision: str = "seconds") -> dict[str, Any]:
    """The document with its times (`at`, `…_at`, `…_until`) as local times with their UTC offset.
    `precision` as in `isoformat`."""
    return {
        name: _local(value, precision)
        if value is not None and name.rpartition("_")[2] in ("at", "until")
        else value
        for name, value in document.items()
    }


def _local(at: str, precision: str) -> str:
    local = datetime.fromisoformat(at).astimezone()
    return local.isoformat(" ", precision).replace("+00:00", "Z")


def _print_table(table: Table) -> None:
    names = table.columns.split()
    rows = [[_cell(row.get(name)) for name in names] for row in table.rows]
    if not rows:
        say(table.empty if table.cursor is None else "Nothing on this page.")
    elif sys.stdout.isatty():
        _draw([names, *rows])
    else:
        for row in [names, *rows]:
            say("\t".join(row))
    if table.cursor is not None:
        # On stderr, since it is not a row.
        print(f"More: --cursor {on_one_line(table.cursor)}", file=sys.stderr)


def _draw(rows: Sequence[Sequence[str]]) -> None:
    """The first row is the header. Empty columns are omitted."""
    console = Console(highlight=False)
    columns = [column for column in zip(*rows, strict=True) if {*column[1:]} != {"-"}]
    widths = [max(map(cell_len, column)) for column in columns]
    for number, row in enumerate(zip(*columns, strict=True)):
        cells = zip(row, widths, strict=True)
        line = Text("  ").join(
            Text(set_cell_size(cell, width), STYLES.get(cell, "") if number else "bold")
            for cell, width in cells
        )
        # Padding at the end would wrap in a narrow terminal.
        line.rstrip()
        console.print(line, soft_wrap=True)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict() | list():
            # For people: non-ASCII letters stay.
            return on_one_line(json.dumps(value, ensure_ascii=False))
        case _:
            return on_one_line(str(value))
