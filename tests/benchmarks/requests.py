"""Submissions, and status from the store, against a Starlette route that does nothing:
`python -m tests.benchmarks.requests`."""

import asyncio
import itertools
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.load import Result, blast, request
from tests.benchmarks.world import KEY, fill, peer, service

CONNECTIONS = 64
BODY = (
    b'{"kind":"create_movie","input":{"prompt":"a cat","image_model":"IMAGEN3",'
    b'"video_model":"LUMA","duration":10}}'
)
HEADERS = f"Content-Type: application/json\r\nAPI-KEY: {KEY}\r\n"


def _get(paths: list[str]) -> Callable[[], bytes]:
    turn = itertools.cycle([request("GET", path, headers=HEADERS) for path in paths])
    return lambda: next(turn)


def main(rounds: int = 5, seconds: float = 3.0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "bench.db"
        job_ids = asyncio.run(fill(database, 2_000))
        # No provider answers: what is measured is the answer at commit, not what comes after it.
        with peer("noop") as noop, service(database, SUBMIT_TIMEOUT="1") as ours:
            post = request("POST", "/noop", BODY, HEADERS)
            contests: dict[str, tuple[Callable[[], bytes], Callable[[], bytes]]] = {
                "POST /v1/jobs": (
                    lambda: post,
                    lambda: request("POST", "/v1/jobs", BODY, HEADERS),
                ),
                "GET /v1/video/status": (
                    _get(["/noop"]),
                    _get([f"/v1/video/status?request_id={job_id}" for job_id in job_ids]),
                ),
                "GET /v1/jobs/{id}": (
                    _get(["/noop"]),
                    _get([f"/v1/jobs/{job_id}" for job_id in job_ids]),
                ),
            }
            for name, (theirs, our) in contests.items():
                _contest(name, noop.port, theirs, ours.port, our, rounds, seconds)


def _contest(
    name: str,
    noop_port: int,
    theirs: Callable[[], bytes],
    our_port: int,
    our: Callable[[], bytes],
    rounds: int,
    seconds: float,
) -> None:
    pairs: list[tuple[Result, Result]] = [
        (
            asyncio.run(blast(noop_port, theirs, CONNECTIONS, seconds)),
            asyncio.run(blast(our_port, our, CONNECTIONS, seconds)),
        )
        for _ in range(rounds + 1)
    ]
    del pairs[0]  # warms up
    ratios = [ours.rate / noop.rate for noop, ours in pairs]
    rate = statistics.median(ours.rate for _, ours in pairs)
    p99 = statistics.median(ours.quantile(0.99) for _, ours in pairs) * 1_000
    statuses = {status for _, ours in pairs for status in ours.statuses}
    print(
        f"{name:22} {rate:7.0f}/s  p99 {p99:5.1f} ms  {sorted(statuses)}"
        f"  / no-op: median {statistics.median(ratios):.2f}"
        f"  ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
