"""Campaigns: long runs whose results add up. There is one small JSON file for each kind of run,
with a sum for each state of the sources that it runs.

Runs on other sources are kept under their own hash, and prove nothing about these.
`python -m tests.support.campaign` writes the table at the end of docs/guarantees.md.
"""

import ast
import datetime
import fcntl
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "campaigns"
EDGES = ("receiver/cli/", "receiver/client/", "receiver/dashboard/")
"""The parts outside the core: changing them changes no promise."""
LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "simulation": (
        *EDGES,
        "receiver/archive/bucket.py",
        "receiver/providers/api.py",
        "receiver/providers/calls.py",
        "receiver/providers/fal.py",
        "receiver/providers/replicate.py",
        "receiver/providers/signatures.py",
        "receiver/sandbox/",
        "receiver/server/buffer_limiter.py",
        "receiver/server/connection.py",
        "receiver/server/incoming.py",
        "receiver/server/listener.py",
        "receiver/server/load_shedding.py",
        "receiver/server/pipelining.py",
        "receiver/server/serve.py",
        "receiver/server/upgrade.py",
        "receiver/webhooks/delivery.py",
        "store/copying.py",
        "store/postgres/",
    ),
    "crash": EDGES,
    "replicas": EDGES,
    "fuzz": (
        "receiver/engine/",
        "receiver/archive/bucket.py",
        "receiver/archive/download.py",
        "receiver/archive/folder.py",
        "receiver/cli/",
        "receiver/client/client.py",
        "receiver/client/stream.py",
        "receiver/dashboard/",
        "receiver/sandbox/",
        "receiver/engine/",
        "store/postgres/",
        "store/queries/",
        "store/sqlite/",
    ),
}
"""By kind of run: sources that no such run calls (`tests/docs/test_campaigns.py`), or that keep no
promise. A change of them leaves its sums valid."""
HEAD = "| run | sources | when | done | injected | checks failed |"
UNITS = {
    "simulation": "seeds",
    "crash": "rounds of kills",
    "replicas": "jobs over three replicas",
    "fuzz": "cases",
}


@dataclass
class Sum:
    """All runs on one state of the sources."""

    tree: str
    first: str
    """The days of the runs, as ISO dates."""
    last: str
    done: int = 0
    violations: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    """How often each kind of fault was injected."""
    equivalent: list[str] = field(default_factory=list)
    """The hashes of sources that behave in the same way: the whole journals of hundreds of seeds
    are the same on them, or the hash leaves out more of what no run calls. Added by hand
    (tests/simulation/README.md)."""

    def is_about(self, tree: str) -> bool:
        return tree == self.tree or tree in self.equivalent


class Campaign:
    """A campaign's file, to which several processes may add. Without a file nothing is kept."""

    def __init__(self, kind: str, file: Path | None) -> None:
        """`kind` is one of `UNITS`."""
        self._kind = kind
        self._file = file
        self.sums = _read(file.read_text()) if file is not None and file.exists() else []

    @property
    def done(self) -> int:
        """How much was run on these sources so far."""
        return sum(each.done for each in self.sums if each.is_about(source_hash(self._kind)))

    def add(self, done: int, violations: int, faults: Mapping[str, int]) -> Self:
        """Count a run on these sources, and write it down."""
        if self._file is None:
            self._count(done, violations, faults)
            return self
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            self.sums = _read(file.read() or "[]")
            self._count(done, violations, faults)
            file.truncate(0)
            file.write(json.dumps([asdict(each) for each in self.sums], indent=1) + "\n")
        return self

    def _count(self, done: int, violations: int, faults: Mapping[str, int]) -> None:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        tree = source_hash(self._kind)
        mine = next((each for each in self.sums if each.is_about(tree)), None)
        if mine is None:
            mine = Sum(tree, today, today)
            self.sums.append(mine)
        mine.last = today
        mine.done += done
        mine.violations += violations
        mine.faults = dict(sorted((Counter(mine.faults) + Counter(faults)).items()))


def _read(text: str) -> list[Sum]:
    return [Sum(**each) for each in json.loads(text)]


@cache
def source_hash(kind: str) -> str:
    """A hash of the sources that such runs call. In Python, comments, docstrings and layout do not
    count; in SQL, only comments at the start of a line do not."""
    digest = hashlib.sha256()
    for package in ("receiver", "store"):
        for file in sorted((ROOT / package).rglob("*")):
            within = file.relative_to(ROOT).as_posix()
            if file.suffix in _CODE and not within.startswith(LEFT_OUT[kind]):
                code = _CODE[file.suffix](file.read_text(encoding="utf-8"))
                digest.update(f"{within}\0{code}\0".encode())
    return digest.hexdigest()[:12]


class _Undocumented(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def python_code(source: str) -> str:
    """The source without comments, docstrings and layout."""
    return ast.unparse(_Undocumented().visit(ast.parse(source)))


def _sql_code(source: str) -> str:
    return "\n".join(
        line
        for line in source.splitlines()
        if not line.startswith("--") or line.startswith("-- name:")
    )


_CODE: dict[str, Callable[[str], str]] = {".py": python_code, ".sql": _sql_code}


def table() -> str:
    """A Markdown table: for each kind of run, the newest sum, and all earlier ones in one."""
    lines = [HEAD, "|---|---|---|---|---|---|"]
    for kind, unit in UNITS.items():
        *earlier, newest = Campaign(kind, FOLDER / f"{kind}.json").sums
        sources = " ".join(f"`{tree}`" for tree in (newest.tree, *newest.equivalent))
        lines.append(_line(kind, unit, sources, [newest]))
        if earlier:
            lines.append(_line(kind, unit, f"{len(earlier)} earlier", earlier))
    return "\n".join(lines)


def _line(kind: str, unit: str, sources: str, sums: Sequence[Sum]) -> str:
    first, last = min(each.first for each in sums), max(each.last for each in sums)
    days = first if first == last else f"{first} to {last}"
    done = sum(each.done for each in sums)
    faults = Counter[str]()
    for each in sums:
        faults += Counter(each.faults)
    injected = ", ".join(f"{count:,} {name}" for name, count in sorted(faults.items()))
    broken = sum(each.violations for each in sums)
    return f"| {kind} | {sources} | {days} | {done:,} {unit} | {injected} | {broken} |"


if __name__ == "__main__":
    page = ROOT / "docs" / "guarantees.md"
    page.write_text(page.read_text().partition(HEAD)[0] + table() + "\n")
