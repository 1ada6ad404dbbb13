"""Named statements, and that each of ours is used."""

import re
from pathlib import Path

import pytest

from store.postgres.connection import STATEMENTS as POSTGRES
from store.sql import SHARED, Statements
from store.sqlite.connection import STATEMENTS as SQLITE
from tests.store.statements import subjects


@pytest.mark.parametrize(
    "text",
    [
        "-- name: one\nSELECT 1;\n",
        "-- name: one\n-- Why.\n",
        "-- name: one\n-- Why.\nSELECT 1;\n-- name: one\n-- Why.\nSELECT 1;\n",
        "-- name: read-key\n-- A shared statement has this name.\nSELECT 1;\n",
    ],
)
def test_a_name_is_unique_and_has_a_comment_and_a_statement(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.sql").write_text(text)

    with pytest.raises(ValueError, match=r"keys\.sql: (one|read-key) is defined twice"):
        Statements(tmp_path)


@pytest.mark.parametrize("statements", [SQLITE, POSTGRES])
def test_every_query_is_used(statements: Statements) -> None:
    packages = (SHARED.parent, statements.own.parent)
    code = [file.read_text() for package in packages for file in package.glob("*.py")]
    quoted = {word for text in code for word in re.findall(r'"([a-z-]+)"', text)}
    for subject in subjects(statements):
        assert any(re.search(rf'(load\(|subject = )"{subject}"', text) for text in code)
        assert statements.load(subject).keys() - quoted == set(), subject
