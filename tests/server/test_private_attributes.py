"""What we use of uvicorn beyond its documents still exists, and docs/architecture.md lists it.

Its minor version is pinned because of these. If an upgrade fails here, first read the code that
replaced the attribute ("Private parts of libraries" there).
"""

import ast
import asyncio
import inspect
import re
from pathlib import Path

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from receiver.server import connection, serve

CLASSES = (HttpToolsProtocol, RequestResponseCycle, ServerState)
PUBLIC = {*dir(asyncio.Protocol), *dir(asyncio.Transport), "on_body", "on_headers_complete"}
"""Of asyncio's and httptools' documents."""
DOCS = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_what_is_used_of_uvicorn_exists_and_is_listed() -> None:
    theirs = {name for each in CLASSES for name in vars(each)}
    for each in CLASSES:
        theirs |= set(re.findall(r"self\.(\w+)(?:: [^=\n]+)? = ", inspect.getsource(each)))
    used = set()
    for module in (connection, serve):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.FunctionDef):
                used.add(node.name)
    _, _, section = DOCS.read_text().partition("## Private parts of libraries")
    lines = [line for line in section.splitlines() if line.startswith("- ")]
    assert theirs & used - PUBLIC == set(re.findall(r"`(\w+)`", "".join(lines)))
