"""`python -m tests.fuzz [--cases N] [--keep]`: run any number of inputs, shared
among the readers.

An input that makes a reader fail is printed, and the exit status is 1. Needs the extra `attack`.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.readers import READERS, add_to_corpus, first_inputs

INPUT_TIMEOUT = 1
"""Seconds that one input may take."""


def main() -> int:
    """Run the cases that the command line asks for; 1 if a reader failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many (default 100,000)")
    parser.add_argument("--keep", action="store_true", help="take what is new into the corpus")
    given = parser.parse_args()
    failures = 0
    for reader in READERS:
        done, failed, new = fuzz(reader, -(-given.cases // len(READERS)))
        if given.keep:
            add_to_corpus(reader, new)
        print(f"{reader}: {done:,} cases, {failed} failed", flush=True)
        failures += failed
    return 1 if failures else 0


def fuzz(reader: str, cases: int) -> tuple[int, int, list[bytes]]:
    """Fuzz a reader: the number of inputs; 1 if one of them made it fail, else 0; and, if none did,
    the inputs that reach code which no known input reaches."""
    with tempfile.TemporaryDirectory() as name:
        found, begin, crash = (Path(name, each) for each in ("found", "begin", "crash"))
        found.mkdir()
        begin.mkdir()
        for number, given in enumerate(first_inputs(reader)):
            begin.joinpath(str(number)).write_bytes(given)
        limits = (f"-timeout={INPUT_TIMEOUT}", f"-exact_artifact_path={crash}")
        ended, output = _run(reader, f"-runs={cases}", *limits, found, begin)
        done = max(map(int, re.findall(r"^(?:Done |#)(\d+)", output, re.MULTILINE)), default=0)
        if ended != 0:
            given = crash.read_bytes() if crash.exists() else b""
            print(f"{reader} failed on {given!r}:\n{output[-4_000:]}")
            # The input may only have been slow because the machine was busy: run it alone.
            ended, _ = _run(reader, *limits, crash)
        new = [file.read_bytes() for file in found.iterdir()]
    return done, int(ended != 0), new if ended == 0 else []


def _run(reader: str, *arguments: str | Path) -> tuple[int, str]:
    """libFuzzer's exit status and output."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.one_reader", reader, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
