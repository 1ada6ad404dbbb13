"""The statements of this backend, as psycopg reads them."""

from pathlib import Path

from store.relational.statements import Statements

STATEMENTS = Statements(Path(__file__).with_name("queries"), parameter=r"%(\1)s")
