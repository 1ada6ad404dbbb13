"""All figures in one table: `python -m tests.benchmarks [NAME …]`, NAME being a module of this
folder. On a machine that does nothing else, and in about an hour, most of it for the lives."""

import sys
from collections.abc import Callable, Iterable
from typing import TypeAlias

from tests.benchmarks import growth, ingest, lives, relay, requests, stores, streams
from tests.benchmarks.table import Line, show

Measure: TypeAlias = Callable[[], Iterable[Line]]

MEASURES: dict[str, Measure] = {
    "lives": lives.measure,
    "requests": requests.measure,
    "growth": growth.measure,
    "ingest": ingest.measure,
    "streams": streams.measure,
    "relay": relay.measure,
    "stores": stores.measure,
}


def main(*names: str) -> None:
    for name in names or MEASURES:
        show(MEASURES[name]())


if __name__ == "__main__":
    main(*sys.argv[1:])
