"""Output of commands: tables on a terminal, plain lines elsewhere, JSON for programs.

Texts of providers and users may contain terminal control characters, which are escaped. rich
detects the terminal's colours and respects NO_COLOR.
"""

import json as json_lib
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

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
    "warning": "yellow",
    "revoked": "yellow",
}
"""Styles of cells with exactly these words."""


GAP = 2
"""Spaces between two columns."""
_PADDING = re.compile(r" +(\x1b\[0m)? *$")
"""Padding at the end of a table's line, which would wrap in a narrow terminal."""
_WORD = re.compile(r"^ *[^ \n]+|[^ \n]+", re.MULTILINE)
"""A word as rich wraps it: the first one of a line with its indentation."""
TEXT_WIDTH = 30
"""Minimum width of a column of texts in a narrow terminal."""
JSON_WIDTH = 60
"""Maximum length of JSON on one line."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table on a terminal; elsewhere one line per row, with cells separated by tabs."""

    columns: str
    """The members to show, separated by spaces."""
    rows: Iterable[Mapping[str, object]]
    empty: str
    """Printed if there are no rows."""
    texts: Collection[str] = ()
    """The columns that may wrap."""
    next_cursor: str | None = None
    """Where the next page begins, if there are more rows."""

    def print(self) -> None:
        columns = self.columns.split()
        cells = [[_cell(row.get(column)) for column in columns] for row in self.rows]
        if not cells:
            say(self.empty)
        elif is_terminal():
            _draw(cells, columns, self.texts)
        else:
            for row in cells:
                say("\t".join(row))
        if self.next_cursor is not None:
            # On stderr, since it is not a row.
            print(f"More: --cursor {on_one_line(self.next_cursor)}", file=sys.stderr)


class Output:
    """What a command prints: a JSON document for programs; for people lines, tables, and mappings,
    which become names and values."""

    def __init__(
        self,
        document: Mapping[str, Any] | Sequence[Any],
        *parts: str | Mapping[str, object] | Table,
    ) -> None:
        self._document = document
        self._parts = parts

    def print(self, *, json: bool) -> None:
        if json:
            say(json_lib.dumps(self._document, indent=2 if is_terminal() else None))
            return
        for part in self._parts:
            if isinstance(part, str):
                say(on_one_line(part))
            elif isinstance(part, Table):
                part.print()
            else:
                _print_pairs(part)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """Print one line unchanged."""
    print(text, flush=True)


def on_one_line(text: str) -> str:
    """The text with control characters and line breaks escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def moment(at: str | None, precision: str = "seconds") -> str | None:
    """A time of a document as a local time with its UTC offset. `precision` as in `isoformat`."""
    if at is None:
        return None
    local = datetime.fromisoformat(at).astimezone()
    return local.isoformat(" ", precision).replace("+00:00", "Z")


def local_times(document: Mapping[str, Any], precision: str = "seconds") -> dict[str, Any]:
    """The document with its times (`at`, `…_at`) as local times."""
    return {
        name: moment(value, precision) if name.rpartition("_")[2] == "at" else value
        for name, value in document.items()
    }


def _print_pairs(values: Mapping[str, object]) -> None:
    """One pair per line; values of None are omitted."""
    given = {name: value for name, value in values.items() if value is not None}
    if is_terminal():
        pairs = [[on_one_line(name), _block(value)] for name, value in given.items()]
        _draw(pairs, ("", "value"), ("value",), header=False)
    else:
        for name, value in given.items():
            say(f"{on_one_line(name)}: {_cell(value)}")


def _block(value: object) -> str:
    """A value on a terminal: JSON that is too long for a line is indented."""
    line = _cell(value)
    if len(line) <= JSON_WIDTH or not isinstance(value, dict | list):
        return line
    return "\n".join(map(on_one_line, _json(value, indent=2).split("\n")))


def _draw(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str],
    texts: Collection[str],
    *,
    header: bool = True,
) -> None:
    """Only columns in `texts` wrap, so ids and links stay whole: if a row is wider than the
    terminal, the terminal itself wraps it. Empty columns are omitted."""
    used = [index for index in range(len(columns)) if any(row[index] != "-" for row in rows)]
    drawn = RichTable(box=None, pad_edge=False, header_style="bold", show_header=header)
    width = GAP * (len(used) - 1)
    for index in used:
        column = columns[index]
        cells = [column * header, *(row[index] for row in rows)]
        least = max(map(cell_len, cells))
        if column in texts:
            longest_word = max(map(cell_len, _WORD.findall("\n".join(cells))))
            least = max(longest_word, min(TEXT_WIDTH, least))
        # "fold", because an ellipsis would replace a letter even if only a space does not fit.
        drawn.add_column(column, min_width=least, no_wrap=column not in texts, overflow="fold")
        width += least
    for row in rows:
        drawn.add_row(*(Text(row[index], style=STYLES.get(row[index], "")) for index in used))
    # On a dumb terminal, rich ignores a width without a height.
    console = Console(width=max(width, Console().width), height=1)
    with console.capture() as captured:
        console.print(drawn, soft_wrap=True)
    for line in captured.get().splitlines():
        say(_PADDING.sub(r"\1", line))


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict() | list():
            return on_one_line(_json(value))
        case _:
            return on_one_line(str(value))


def _json(value: object, indent: int | None = None) -> str:
    """JSON for people: non-ASCII characters are not escaped."""
    return json_lib.dumps(value, ensure_ascii=False, indent=indent)
