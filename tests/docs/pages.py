"""The project's Markdown pages: their code blocks, links and anchors."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "tests").rglob("README.md")),
]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language in a page's text."""
    return [code for name, code in _BLOCK.findall(text) if name == language]


def links(page: Path) -> Iterator[str]:
    """The targets of the page's links, including images."""
    prose = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text()))
    yield from re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(page: Path) -> set[str]:
    """The page's anchors, as GitHub derives them from headings."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
