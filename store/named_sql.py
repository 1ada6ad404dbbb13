"""SQL kept in `.sql` files, each statement under a name and with a comment that says what for.

-- name: find-job
-- One job, whoever owns it.
SELECT * FROM job_rows WHERE id = :job_id;
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_MARK = "-- name: "


@cache
def load(file: Path) -> Mapping[str, str]:
    """The statements of a file by name, without their comments.

    Raises ValueError where a name comes twice, has no comment line or no statement under it.
    """
    statements: dict[str, str] = {}
    _, *blocks = ("\n" + file.read_text(encoding="utf-8")).split("\n" + _MARK)
    for block in blocks:
        name, *lines = block.splitlines()
        sql = [line for line in lines if not line.startswith("--")]
        statement = "\n".join(sql).strip().removesuffix(";")
        if name in statements or not statement or len(sql) == len(lines):
            raise ValueError(f"{file.name}: {name!r} is there twice, is empty or has no comment")
        statements[name] = statement
    return MappingProxyType(statements)
