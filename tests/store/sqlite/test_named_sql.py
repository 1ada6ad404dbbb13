"""Statements under names, and that each of ours is used."""

import re
from pathlib import Path

import pytest

from store import named_sql
from store.sqlite import sql


def load(folder: Path, text: str) -> dict[str, str]:
    file = folder / f"{len(list(folder.iterdir()))}.sql"
    file.write_text(text)
    return dict(named_sql.load(file))


def test_blocks_are_read_by_name(tmp_path: Path) -> None:
    text = (
        "-- about the file\n\n-- name: one\n-- Why.\n-- More.\nSELECT 1\n  FROM x;\n\n"
        "-- name: two\n-- Why.\nSELECT 2;\n"
    )

    assert load(tmp_path, text) == {"one": "SELECT 1\n  FROM x", "two": "SELECT 2"}


@pytest.mark.parametrize(
    "text",
    [
        "-- name: one\nSELECT 1;\n",
        "-- name: one\n-- Why.\n",
        "-- name: one\n-- Why.\nSELECT 1;\n-- name: one\n-- Why.\nSELECT 1;\n",
    ],
)
def test_a_name_has_a_comment_and_one_statement(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="one"):
        load(tmp_path, text)


def test_every_query_is_used_and_every_use_has_a_query() -> None:
    package = sql.QUERIES.parent
    code = {file: file.read_text() for file in package.glob("*.py")}
    for file in sql.QUERIES.glob("*.sql"):
        names = set(named_sql.load(file))
        users = [text for text in code.values() if f'sql.load("{file.stem}")' in text]
        quoted = {word for text in users for word in re.findall(r'"([a-z-]+)"', text)}
        assert users
        assert names - quoted == set(), file.name
    used = {
        (match[1], match[2])
        for text in code.values()
        for match in re.finditer(r'(_[A-Z]+)\["([a-z-]+)"\]', text)
    }
    known = {name for file in sql.QUERIES.glob("*.sql") for name in named_sql.load(file)}
    assert {name for _, name in used} - known == set()
