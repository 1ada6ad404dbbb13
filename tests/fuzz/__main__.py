"""`python -m tests.fuzz [--cases N] [--campaign FILE] [--keep]`: as many inputs as wished, shared
among the readers.

An input that makes a reader fail is printed, and the exit status is 1. Needs the extra `attack`.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.readers import EXAMPLES, READERS
from tests.support.campaign import Campaign

SLOWEST = 1
"""Seconds that one input may take."""


def main() -> int:
    """Run the cases that the command line asks for; 1 where a reader failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many (default 100,000)")
    parser.add_argument("--campaign", type=Path, help="the file to add the sums to")
    parser.add_argument("--keep", action="store_true", help="take what is new into the corpus")
    given = parser.parse_args()
    campaign = Campaign(given.campaign)
    failures = 0
    for reader in READERS:
        done, failed = fuzz(reader, -(-given.cases // len(READERS)), keep=given.keep)
        print(f"{reader}: {done:,} cases, {failed} failed", flush=True)
        campaign.add(done, failed, {f"to {reader}": done})
        failures += failed
    return 1 if failures else 0


def fuzz(reader: str, cases: int, *, keep: bool) -> tuple[int, int]:
    """How many inputs the reader had, and whether one made it fail, as 0 or 1."""
    with tempfile.TemporaryDirectory() as name:
        found, known, crash = (Path(name, each) for each in ("found", "known", "crash"))
        found.mkdir()
        known.mkdir()
        for number, given in enumerate([*corpus.kept(reader), *EXAMPLES.get(reader, [])]):
            known.joinpath(str(number)).write_bytes(given)
        limits = (f"-timeout={SLOWEST}", f"-exact_artifact_path={crash}")
        ended, told = _run(reader, f"-runs={cases}", *limits, found, known)
        done = max(map(int, re.findall(r"^(?:Done |#)(\d+)", told, re.MULTILINE)), default=0)
        if ended != 0:
            given = crash.read_bytes() if crash.exists() else b""
            print(f"{reader} failed on {given!r}:\n{told[-4_000:]}")
            # What was only slow, on a machine with other work, is not so by itself.
            ended, _ = _run(reader, *limits, crash)
        if ended == 0 and keep:
            # libFuzzer has put those here that reach what none of the known ones does.
            corpus.keep(reader, [*corpus.kept(reader), *_inputs(found)])
    return done, int(ended != 0)


def _inputs(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir()]


def _run(reader: str, *arguments: str | Path) -> tuple[int, str]:
    """The exit status of libFuzzer, and what it said."""
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
