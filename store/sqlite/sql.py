"""The statements of this backend, by file and name."""

from collections.abc import Mapping
from pathlib import Path

from store import named_sql

QUERIES = Path(__file__).with_name("queries")


def load(subject: str) -> Mapping[str, str]:
    """The statements of one file of `queries/`."""
    return named_sql.load(QUERIES / f"{subject}.sql")
