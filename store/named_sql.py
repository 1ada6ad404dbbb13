"""Loads SQL from `.sql` files, in which each statement has a name and a comment.

-- name: find-job
-- One job of any user.
SELECT * FROM archived_job_rows WHERE id = :job_id;
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_MARK = "-- name: "


@cache
def load(file: Path) -> Mapping[str, str]:
    """The statements of a file by name, without their comments.

    Raises ValueError if a name is repeated, or has no comment or no statement.
    """
    statements: dict[str, str] = {}
    _, *blocks = ("\n" + file.read_text(encoding="utf-8")).split("\n" + _MARK)
    for block in blocks:
        name, *lines = block.splitlines()
        sql = [line for line in lines if not line.startswith("--")]
        statement = "\n".join(sql).strip().removesuffix(";")
        if name in statements or not statement or len(sql) == len(lines):
            raise ValueError(f"{file.name}: {name!r} is repeated, is empty or has no comment")
        statements[name] = statement
    return MappingProxyType(statements)
