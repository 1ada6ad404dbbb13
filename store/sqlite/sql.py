"""The statements of this backend."""

from pathlib import Path

from store.relational.statements import Statements

STATEMENTS = Statements(Path(__file__).with_name("queries"))
