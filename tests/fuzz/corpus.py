"""The kept inputs: one small JSON file a reader, each input as Latin-1 text."""

import json
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")
MOST, LONGEST = 100, 200
"""Inputs of a file, and bytes of an input."""


def kept(reader: str) -> list[bytes]:
    """The inputs of a reader."""
    return [text.encode("latin-1") for text in json.loads(_file(reader).read_text())]


def keep(reader: str, inputs: Iterable[bytes]) -> None:
    """Keep the shortest of these, in an order that does not change."""
    short = sorted({each for each in inputs if len(each) <= LONGEST}, key=lambda e: (len(e), e))
    texts = [each.decode("latin-1") for each in short[:MOST]]
    _file(reader).write_text(json.dumps(texts, indent=0) + "\n")


def _file(reader: str) -> Path:
    return FOLDER / f"{reader}.json"
