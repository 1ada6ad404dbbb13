"""Durable acknowledgement of callbacks against a Starlette route that does nothing, and against the
same route without its write: `python -m tests.benchmarks.callbacks`."""

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.load import Result, blast
from tests.benchmarks.world import callbacks, fill, peer, service

CONNECTIONS = 64


def main(rounds: int = 5, seconds: float = 4.0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database, unwritten = Path(folder) / "bench.db", Path(folder) / "unwritten.db"
        job_ids = asyncio.run(fill(database, 10_000))
        asyncio.run(fill(unwritten, 1))
        with (
            peer("noop") as noop,
            service(unwritten, module="tests.benchmarks.unwritten") as verifies,
            service(database) as ours,
        ):
            next_request = callbacks(job_ids)
            servers = {"no-op": noop, "no write": verifies, "receiver": ours}
            results: dict[str, list[Result]] = {name: [] for name in servers}
            for index in range(rounds + 1):
                for name, server in servers.items():
                    result = asyncio.run(blast(server.port, next_request, CONNECTIONS, seconds))
                    assert set(result.statuses) == {200}, result.statuses
                    if index:  # the first round warms up
                        results[name].append(result)
    for name, each in results.items():
        rate = statistics.median(result.rate for result in each)
        p99 = statistics.median(result.quantile(0.99) for result in each)
        print(f"{name:10} {rate:8.0f}/s   p99 {p99 * 1_000:6.1f} ms")
    for name in ("no-op", "no write"):
        pairs = list(zip(results["receiver"], results[name], strict=True))
        _print_ratios(f"rate / {name}", [ours.rate / theirs.rate for ours, theirs in pairs])
        p99s = [ours.quantile(0.99) / theirs.quantile(0.99) for ours, theirs in pairs]
        _print_ratios(f"p99 / {name}", p99s)


def _print_ratios(what: str, ratios: list[float]) -> None:
    median = statistics.median(ratios)
    print(f"{what:16} median {median:.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
