"""Durable acknowledgement of callbacks against a Starlette route that does nothing, without and
with uvicorn's access log (the service writes one too), and against the same route without its
write: `python -m tests.benchmarks.callbacks`."""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from tests.benchmarks.load import Result, blast
from tests.benchmarks.table import Line, ratio, show
from tests.benchmarks.world import alone, callbacks, fill, peer, service

CONNECTIONS = 64


def measure(rounds: int = 5, seconds: float = 4.0) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        database, unwritten = Path(folder) / "bench.db", Path(folder) / "unwritten.db"
        job_ids = asyncio.run(fill(database, 10_000))
        asyncio.run(fill(unwritten, 1))
        with (
            peer("noop") as noop,
            peer("logged") as logged,
            service(unwritten, module="tests.benchmarks.unwritten") as verifies,
            service(database) as ours,
        ):
            next_request = callbacks(job_ids)
            servers = {
                "no-op": noop,
                "logged no-op": logged,
                "no write": verifies,
                "receiver": ours,
            }
            results: dict[str, list[Result]] = {name: [] for name in servers}
            for index in range(rounds + 1):
                for name, server in servers.items():
                    with alone(server, servers.values()):
                        result = uvloop.run(blast(server.port, next_request, CONNECTIONS, seconds))
                    assert set(result.statuses) == {200}, result.statuses
                    if index:  # the first round warms up
                        results[name].append(result)
    told = ", ".join(f"{name} {_rate(each):,.0f}/s" for name, each in results.items())
    for name, wanted, wanted_p99, what in (
        ("no-op", ">= 0.6", "<= 1.5", "a Starlette no-op"),
        ("logged no-op", "(no bound)", "(no bound)", "a no-op with an access log"),
        ("no write", ">= 0.9", "<= 1.5", "itself without the write"),
    ):
        pairs = list(zip(results["receiver"], results[name], strict=True))
        rates = ratio([ours.rate / theirs.rate for ours, theirs in pairs])
        yield Line(f"callbacks acknowledged / {what}", rates, wanted, told)
        p99 = ratio([ours.quantile(0.99) / theirs.quantile(0.99) for ours, theirs in pairs])
        yield Line(f"   p99 / {what}", p99, wanted_p99)


def _rate(results: list[Result]) -> float:
    return statistics.median(result.rate for result in results)


if __name__ == "__main__":
    show(measure(*(int(argument) for argument in sys.argv[1:])))
