"""This backend's SQL statements."""

from pathlib import Path

from store.statements import Statements

STATEMENTS = Statements(Path(__file__).with_name("queries"))
