"""Submissions, and status from the store, against a Starlette route that does nothing:
`python -m tests.benchmarks.requests`."""

import asyncio
import itertools
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from tests.benchmarks.load import Result, blast, request
from tests.benchmarks.table import Line, ratio, show
from tests.benchmarks.world import KEY, Server, alone, fill, peer, service

CONNECTIONS = 64
BODY = (
    b'{"kind":"create_movie","input":{"prompt":"a cat","image_model":"IMAGEN3",'
    b'"video_model":"LUMA","duration":10}}'
)
HEADERS = f"Content-Type: application/json\r\nAPI-KEY: {KEY}\r\n"


def _get(paths: list[str]) -> Callable[[], bytes]:
    turn = itertools.cycle([request("GET", path, headers=HEADERS) for path in paths])
    return lambda: next(turn)


def measure(rounds: int = 5, seconds: float = 3.0) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "bench.db"
        job_ids = asyncio.run(fill(database, 2_000))
        # No provider answers: what is measured is the answer at commit, not what comes after it.
        with peer("noop") as noop, service(database, SUBMIT_TIMEOUT="1") as ours:
            post = request("POST", "/noop", BODY, HEADERS)
            get = _get(["/noop"])
            status = _get([f"/v1/video/status?request_id={job_id}" for job_id in job_ids])
            read = _get([f"/v1/jobs/{job_id}" for job_id in job_ids])

            def blasted(
                server: Server, next_request: Callable[[], bytes], seconds: float
            ) -> Result:
                with alone(server, (noop, ours)):
                    return uvloop.run(blast(server.port, next_request, CONNECTIONS, seconds))

            def submit() -> bytes:
                return request("POST", "/v1/jobs", BODY, HEADERS)

            for name, theirs, our, wanted in (
                ("POST /v1/jobs", lambda: post, submit, ">= 0.4"),
                ("GET /v1/video/status", get, status, ">= 0.6"),
                ("GET /v1/jobs/{id}", get, read, "(no bound)"),
            ):
                pairs = [
                    (blasted(noop, theirs, seconds), blasted(ours, our, seconds))
                    for _ in range(rounds + 1)
                ]
                yield _line(name, pairs[1:], wanted)  # the first round warms up


def _line(name: str, pairs: list[tuple[Result, Result]], wanted: str) -> Line:
    refused = {status for _, ours in pairs for status in ours.statuses} - {200, 202}
    assert not refused, refused
    rate, p99 = (
        statistics.median(figures)
        for figures in (
            [ours.rate for _, ours in pairs],
            [ours.quantile(0.99) for _, ours in pairs],
        )
    )
    return Line(
        f"{name} / a Starlette no-op",
        ratio([ours.rate / noop.rate for noop, ours in pairs]),
        wanted,
        f"{rate:,.0f}/s, p99 {p99 * 1_000:.0f} ms",
    )


if __name__ == "__main__":
    show(measure(*(int(argument) for argument in sys.argv[1:])))
