"""This backend's SQL statements, in psycopg's parameter style."""

from pathlib import Path

from store.statements import Statements

STATEMENTS = Statements(Path(__file__).with_name("queries"), parameter=r"%(\1)s")
