"""Submissions, status reads and callbacks, each beside a Starlette route that does nothing, with
and without uvicorn's access log (the service writes one too). Callbacks also beside the same route
without its write: `python -m tests.benchmarks.requests [ROUNDS] [SECONDS]`."""

import asyncio
import itertools
import socket
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import uvloop

from tests.benchmarks.load import Result, closed_loop
from tests.benchmarks.sender import request
from tests.benchmarks.table import Line, ratio, show
from tests.benchmarks.world import (
    Callbacks,
    Server,
    fill,
    key_of,
    pausing_others,
    ready_server,
    service,
)

CONNECTIONS = 64
BODY = (
    b'{"kind":"create_movie","input":{"prompt":"a cat","image_model":"IMAGEN3",'
    b'"video_model":"LUMA","duration":10}}'
)
HEADERS = f"Content-Type: application/json\r\nAPI-KEY: {key_of(0)}\r\n"
NO_OP, LOGGED, WITHOUT_WRITE = "a no-op", "a no-op with an access log", "itself without the write"

NextRequest: TypeAlias = Callable[[], bytes]


@dataclass(frozen=True)
class Case:
    """One route of the service, and its baselines."""

    name: str
    ours: Server
    next_request: NextRequest
    baselines: Mapping[str, tuple[Server, NextRequest]]
    wanted: Mapping[str, tuple[str, str]]
    """By baseline: the bounds of the rate and of the 99th percentile."""

    def measured(self, rounds: int, seconds: float, servers: list[Server]) -> Iterator[Line]:
        """Measure the servers in turns; while one is measured, the others are stopped."""

        def measured(server: Server, next_request: NextRequest) -> Result:
            with pausing_others(server, servers):
                # A service that was stopped in the middle of a batch measures that batch as slow,
                # and refuses a long queue until the next one. These requests let it recover.
                uvloop.run(closed_loop(server.port, next_request, 4, 0.2))
                return uvloop.run(closed_loop(server.port, next_request, CONNECTIONS, seconds))

        ours: list[Result] = []
        theirs: dict[str, list[Result]] = {name: [] for name in self.baselines}
        for _ in range(rounds + 1):
            for name, baseline in self.baselines.items():
                theirs[name].append(measured(*baseline))
            ours.append(measured(self.ours, self.next_request))
        refused = {status for each in ours for status in each.statuses} - {200, 202}
        assert not refused, refused
        rate = statistics.median(each.rate for each in ours[1:])
        p99 = statistics.median(each.p99 for each in ours[1:])
        absolute = f"{rate:,.0f}/s, p99 {p99 * 1_000:.0f} ms"
        for name, results in theirs.items():
            pairs = list(zip(ours, results, strict=True))[1:]  # the first round warms up
            rates = ratio([a.rate / b.rate for a, b in pairs])
            p99s = ratio([a.p99 / b.p99 for a, b in pairs])
            wanted, wanted_p99 = self.wanted.get(name, ("(no bound)", "(no bound)"))
            yield Line(f"{self.name} / {name}", rates, wanted, absolute)
            yield Line("   p99", p99s, wanted_p99)


def _get(paths: list[str]) -> NextRequest:
    turn = itertools.cycle([request("GET", path, headers=HEADERS) for path in paths])
    return lambda: next(turn)


def _post(path: str) -> NextRequest:
    return itertools.repeat(request("POST", path, BODY, HEADERS)).__next__


def measure(rounds: int = 5, seconds: float = 3.0) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder, _silent_provider() as provider:
        names = ("bench", "empty", "none")
        database, empty, without_write = (f"sqlite:///{folder}/{name}.db" for name in names)
        (account,) = asyncio.run(fill(database, 1, jobs=10_000))
        for url in (empty, without_write):
            asyncio.run(fill(url, 1, jobs=0))
        # Only the answer at commit is measured, and not the submission that follows.
        apart = {"SAMSAR_BASE_URL": provider, "SUBMIT_TIMEOUT": "60"}
        with (
            ready_server("peers", "noop") as noop,
            ready_server("peers", "logged") as logged,
            service(without_write, module="tests.benchmarks.without_write") as not_writing,
            service(empty, **apart) as submitted_to,
            service(database) as ours,
        ):
            post = {NO_OP: (noop, _post("/noop")), LOGGED: (logged, _post("/noop"))}
            get = {NO_OP: (noop, _get(["/noop"])), LOGGED: (logged, _get(["/noop"]))}
            status = _get([f"/v1/video/status?request_id={job_id}" for job_id in account.jobs])
            read = _get([f"/v1/jobs/{job_id}" for job_id in account.jobs])
            call_back = Callbacks(account).next
            others = {NO_OP: noop, LOGGED: logged, WITHOUT_WRITE: not_writing}
            calls = {name: (server, call_back) for name, server in others.items()}
            as_fast = {NO_OP: (">= 0.6", "<= 1.5"), WITHOUT_WRITE: (">= 0.9", "<= 1.5")}
            submit = _post("/v1/jobs")
            for case in (
                Case("POST /v1/jobs", submitted_to, submit, post, {NO_OP: (">= 0.4", "")}),
                Case("GET /v1/video/status", ours, status, get, {NO_OP: (">= 0.6", "")}),
                Case("GET /v1/jobs/{id}", ours, read, get, {}),
                # Callbacks come last: applying them afterwards takes CPU from the others.
                Case("callbacks acknowledged", ours, call_back, calls, as_fast),
            ):
                servers = [noop, logged, not_writing, submitted_to, ours]
                yield from case.measured(rounds, seconds, servers)


@contextmanager
def _silent_provider() -> Iterator[str]:
    """The URL of a provider that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


if __name__ == "__main__":
    show(measure(*(int(argument) for argument in sys.argv[1:])))
