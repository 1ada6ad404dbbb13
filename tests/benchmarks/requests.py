"""Submissions, and status from the store, against a Starlette route that does nothing, without and
with uvicorn's access log (the service writes one too): `python -m tests.benchmarks.requests`."""

import asyncio
import itertools
import socket
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    with tempfile.TemporaryDirectory() as folder, _silent_provider() as provider:
        database, empty = Path(folder) / "bench.db", Path(folder) / "empty.db"
        job_ids = asyncio.run(fill(database, 2_000))
        asyncio.run(fill(empty, 1))
        # What is measured is the answer at commit, and not what the provider makes of it.
        apart = {"SAMSAR_BASE_URL": provider, "SUBMIT_TIMEOUT": "60"}
        with (
            peer("noop") as noop,
            peer("logged") as logged,
            service(empty, **apart) as submitted_to,
            service(database) as read_from,
        ):
            servers = (noop, logged, submitted_to, read_from)
            post = itertools.repeat(request("POST", "/noop", BODY, HEADERS)).__next__
            submit = itertools.repeat(request("POST", "/v1/jobs", BODY, HEADERS)).__next__
            get = _get(["/noop"])
            status = _get([f"/v1/video/status?request_id={job_id}" for job_id in job_ids])
            read = _get([f"/v1/jobs/{job_id}" for job_id in job_ids])

            def blasted(server: Server, next_request: Callable[[], bytes]) -> Result:
                with alone(server, servers):
                    return uvloop.run(blast(server.port, next_request, CONNECTIONS, seconds))

            for name, ours, theirs, our, wanted in (
                ("POST /v1/jobs", submitted_to, post, submit, ">= 0.4"),
                ("GET /v1/video/status", read_from, get, status, ">= 0.6"),
                ("GET /v1/jobs/{id}", read_from, get, read, "(no bound)"),
            ):
                measured = [
                    (blasted(noop, theirs), blasted(logged, theirs), blasted(ours, our))
                    for _ in range(rounds + 1)
                ]
                yield from _lines(name, measured[1:], wanted)  # the first round warms up


@contextmanager
def _silent_provider() -> Iterator[str]:
    """The address of a provider that takes what is sent to it and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def _lines(name: str, measured: list[tuple[Result, Result, Result]], wanted: str) -> Iterator[Line]:
    refused = {status for _, _, ours in measured for status in ours.statuses} - {200, 202}
    assert not refused, refused
    rate, p99 = (
        statistics.median(figures)
        for figures in (
            [ours.rate for _, _, ours in measured],
            [ours.quantile(0.99) for _, _, ours in measured],
        )
    )
    yield Line(
        f"{name} / a Starlette no-op",
        ratio([ours.rate / noop.rate for noop, _, ours in measured]),
        wanted,
        f"{rate:,.0f}/s, p99 {p99 * 1_000:.0f} ms",
    )
    yield Line(
        "   / a no-op with an access log",
        ratio([ours.rate / logged.rate for _, logged, ours in measured]),
        "(no bound)",
    )


if __name__ == "__main__":
    show(measure(*(int(argument) for argument in sys.argv[1:])))
