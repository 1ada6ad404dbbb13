"""What the whole life of a job costs and how long its outcome takes, beside a plain app:
`python -m tests.benchmarks.lives --help`.

A life: a user posts a job, the provider is called and later sends a callback, a status call
confirms the outcome, and the user's event stream shows it. Provider, users and reader run on the
same machine, in two processes; the load does not wait for answers. Each measurement has new
processes and a new database. The plain app's module says what it leaves out.
"""

import argparse
import asyncio
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import uvloop

from receiver.server.serve import allow_many_connections
from tests.benchmarks.life_load import KEY, OTHER_KEY, Load, Measured, run
from tests.benchmarks.table import Line, quantile, ratio, show
from tests.benchmarks.world import Server, fill, ready_server, service, wait_for
from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer
from tests.support.programs import running

WHAT = "Whole lives of jobs, beside a plain app; floods take three times --seconds."
SETTINGS = {"POLL_RATE": "100000", "POLL_CONCURRENCY": "64", "SUBMIT_CONCURRENCY": "48"}
"""Confirmations are status calls, and count against these limits. A submission holds its slot until
its answer is stored."""

SLOW_COMMITS = {"fsync": "on", "commit_delay": "10000", "commit_siblings": "0"}
"""Each commit takes 11.5 ms, as with a synchronous standby or a managed database in two zones."""

Runs: TypeAlias = Sequence[Measured]


@dataclass
class Bench:
    """Runs loads against the service and the plain app."""

    provider: Server
    rounds: int

    def in_turns(self, load: Load) -> tuple[Runs, Runs]:
        """Measure the service and the plain app in turns, once a round."""
        pairs = [(self._ours(load), self._plain(load)) for _ in range(self.rounds)]
        return [ours for ours, _ in pairs], [plain for _, plain in pairs]

    def on_both_databases(self, load: Load) -> tuple[Runs, Runs]:
        """Measure the service on PostgreSQL with slow commits and on SQLite in turns."""
        pairs = [(self._on_postgres(load), self._ours(load)) for _ in range(self.rounds)]
        return [postgres for postgres, _ in pairs], [sqlite for _, sqlite in pairs]

    def _ours(self, load: Load) -> Measured:
        with tempfile.TemporaryDirectory() as folder:
            return self._on(f"sqlite:///{folder}/lives.db", load)

    def _on_postgres(self, load: Load) -> Measured:
        with PostgresServer.running(**SLOW_COMMITS) as server:
            return self._on(server.new_schema_url(), load)

    def _on(self, url: str, load: Load) -> Measured:
        asyncio.run(fill(url, 2, jobs=0))
        with service(url, **SETTINGS, SAMSAR_BASE_URL=self._provider_url) as ours:
            return uvloop.run(run(load, ours, self.provider))

    def _plain(self, load: Load) -> Measured:
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            command = [
                *(sys.executable, "-m", "tests.benchmarks.plain_app", str(port)),
                *(f"{folder}/plain.db", self._provider_url, f"{KEY}=bench", f"{OTHER_KEY}=other"),
            ]
            with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                wait_for(port, process)
                return uvloop.run(run(load, Server(port, process), self.provider))

    @property
    def _provider_url(self) -> str:
        return f"http://127.0.0.1:{self.provider.port}/v1/video/"


def lives(bench: Bench, seconds: float) -> Iterator[Line]:
    """Loads that the service is to carry with ease."""
    for rate in (50, 200):
        ours, plain = bench.in_turns(Load(rate, seconds))
        yield Line(f"{rate} lives/s: CPU / the plain app", _cpu_ratio(ours, plain), "<= 2.0")
        yield from _results(ours, plain)


def flood(bench: Bench, seconds: float) -> Iterator[Line]:
    """Lives beside progress callbacks for many other jobs."""
    for rate in (10, 200):
        ours, plain = bench.in_turns(Load(rate, 3 * seconds, flood=1_500))
        p99 = _ms(statistics.median(each.flood["p99"] for each in ours))
        yield Line(f"{rate} lives/s beside 1,500 callbacks/s: their p99", p99, "")
        yield from _results(ours, plain)


def postgres(bench: Bench, seconds: float) -> Iterator[Line]:
    """One user's lives on PostgreSQL with slow commits, beside SQLite."""
    for rate in (10, 50, 150):
        slow, sqlite = bench.on_both_databases(Load(rate, seconds))
        yield Line(f"{rate} lives/s: CPU / on SQLite", _cpu_ratio(slow, sqlite), "<= 1.3")
        yield from _results(slow, sqlite, "SQLite")


MEASURES: dict[str, Callable[[Bench, float], Iterator[Line]]] = {
    "lives": lives,
    "flood": flood,
    "postgres": postgres,
}


# --- how it is shown ------------------------------------------------------------------------------


def _results(ours: Runs, plain: Runs, beside: str = "plain app") -> Iterator[Line]:
    wanted = f">= {ours[0].load.rate:.0f}/s, <= 500 ms"
    beside_it = f"{beside} {_carried(plain)}"
    yield Line("   carried; outcome p50, p99", _carried(ours), wanted, beside_it)
    # The figures of every single run, and whether its measurement was valid.
    for name, runs in (("service", ours), (beside, plain)):
        for each in runs:
            yield Line(
                f"      {name}: cores; of the load; of others",
                f"{each.cores:.2f}; {each.load_cores:.2f}; {each.other_cores:.2f}",
                "",
                f"{each.cpu_per_life * 1_000:.2f} ms a life; {each.lost} not ended;"
                f" POSTs {dict(each.statuses)}, p99 {_ms(quantile(each.answers, 0.99))};"
                f" load late {_ms(each.late)}; provider {each.report}; flood {each.flood}",
            )


def _carried(runs: Runs) -> str:
    p50, p99 = (
        statistics.median(quantile(each.outcomes, share) for each in runs) for share in (0.5, 0.99)
    )
    carried = statistics.median(each.carried for each in runs)
    return f"{carried:.0f}/s; {_ms(p50)}, {_ms(p99)}"


def _cpu_ratio(ours: Runs, plain: Runs) -> str:
    # Under a backlog the CPU goes to lives that do not end in the window.
    if any(each.carried < 0.9 * each.load.rate for each in (*ours, *plain)):
        return "not carried"
    return ratio([a.cpu_per_life / b.cpu_per_life for a, b in zip(ours, plain, strict=True)])


def _ms(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds * 1_000:,.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=WHAT)
    parser.add_argument("--only", default=",".join(MEASURES), help="some of %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    given = parser.parse_args()
    allow_many_connections()
    with ready_server("provider") as provider:
        for name in given.only.split(","):
            show(MEASURES[name](Bench(provider, given.rounds), given.seconds))


if __name__ == "__main__":
    main()
