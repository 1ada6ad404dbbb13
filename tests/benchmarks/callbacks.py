"""Durable acknowledgement of callbacks against a Starlette route that does nothing, and against one
that only verifies the token: `python -m tests.benchmarks.callbacks`."""

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
        database = Path(folder) / "bench.db"
        job_ids = asyncio.run(fill(database, 10_000))
        with (
            peer("noop") as noop,
            peer("verifies") as verifies,
            service(database) as ours,
        ):
            next_request = callbacks(job_ids)
            results: dict[str, list[Result]] = {"noop": [], "verifies": [], "receiver": []}
            for index in range(rounds + 1):
                for name, server in (("noop", noop), ("verifies", verifies), ("receiver", ours)):
                    result = asyncio.run(blast(server.port, next_request, CONNECTIONS, seconds))
                    assert set(result.statuses) == {200}, result.statuses
                    if index:  # the first round warms up
                        results[name].append(result)
    rates = {name: [r.rate for r in each] for name, each in results.items()}
    for name, each in results.items():
        p99 = statistics.median(r.quantile(0.99) for r in each) * 1_000
        print(f"{name:10} {statistics.median(rates[name]):8.0f}/s   p99 {p99:6.1f} ms")
    for peer_name in ("noop", "verifies"):
        ratios = [a / b for a, b in zip(rates["receiver"], rates[peer_name], strict=True)]
        print(
            f"receiver / {peer_name}: median {statistics.median(ratios):.2f}"
            f"  ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
