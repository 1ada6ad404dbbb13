"""Statements under names, and that each of ours is used."""

import re
from pathlib import Path

import pytest

from store import named_sql
from store.postgres.sql import STATEMENTS as POSTGRES
from store.sqlite.sql import STATEMENTS as SQLITE
from store.statements import SHARED, Statements


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


@pytest.mark.parametrize("statements", [SQLITE, POSTGRES])
def test_every_query_is_used_and_every_use_has_a_query(statements: Statements) -> None:
    packages = (SHARED.parent, statements.own.parent)
    code = [file.read_text() for package in packages for file in package.glob("*.py")]
    quoted = {word for text in code for word in re.findall(r'"([a-z-]+)"', text)}
    known: set[str] = set()
    for subject in statements.subjects():
        names = set(statements.load(subject))
        assert any(re.search(rf'(load\(|subject = )"{subject}"', text) for text in code)
        assert names - quoted == set(), subject
        known |= names
    used = {
        match[1]
        for text in code
        for match in re.finditer(
            r"(?:(?:_[A-Z]+|_sql|sql|_jobs|_keys|_deliveries)\[|_(?:fetch|fetch_one|run)\(\s*)"
            r'"([a-z-]+)"',
            text,
        )
    }
    assert used - known == set()


def test_what_is_shared_is_not_said_again(tmp_path: Path) -> None:
    (tmp_path / "keys.sql").write_text("-- name: read-key\n-- Why.\nSELECT 1;\n")

    with pytest.raises(ValueError, match="read-key is defined twice"):
        Statements(tmp_path).load("keys")


def test_parameters_are_written_as_the_driver_reads_them() -> None:
    sql = "SELECT a::text FROM t WHERE a = :a AND b = :a_b"

    assert Statements(Path()).translate(sql) == sql
    assert POSTGRES.translate(sql) == "SELECT a::text FROM t WHERE a = %(a)s AND b = %(a_b)s"
