"""What the whole life of a job costs and how long its outcome takes, beside a plain app:
`python -m tests.benchmarks.lives --help`.

A life: a user posts a job, the provider is called and later sends a callback, a status call
confirms the outcome, and the user's event stream shows it. Provider, users and reader run on the
same machine, in two processes; the load does not wait for answers. The plain app's module says what
it leaves out.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeAlias

from receiver.server.serve import allow_many_connections
from tests.benchmarks.life_figures import Load, Measured
from tests.benchmarks.life_world import SAFE, Bench
from tests.benchmarks.table import Line, quantile, ratio, show
from tests.benchmarks.upstreams import UPSTREAMS
from tests.benchmarks.world import ready_server
from tests.support.postgres_server import PostgresServer

WHAT = "Whole lives of jobs, beside a plain app; floods take three times --seconds."
SECONDS = 20.0
SUBMIT_CONCURRENCY = 32
"""How many calls of the provider the service may have open."""
SLOW_PROVIDER = 0.1
"""Seconds that the provider takes to answer, where submissions are counted."""

Runs: TypeAlias = Sequence[Measured]

# --- what is measured -----------------------------------------------------------------------------


def lives(bench: Bench, seconds: float) -> Iterator[Line]:
    """A load that the machine carries with ease."""
    for rate, bound in ((50, "(no bound)"), (200, "<= 60 ms")):
        ours, plain = bench.in_turns(Load(rate, seconds))
        yield Line(
            f"{rate} lives/s: CPU a life / the plain app",
            _cpu_ratio(ours, plain),
            "<= 2.0",
            f"{_cpu(ours)} / {_cpu(plain)}",
        )
        yield _outcome("   outcome p50, p99", ours, plain, bound)
        yield from _each(ours, plain)


def providers(bench: Bench, seconds: float) -> Iterator[Line]:
    """What signed callbacks save: their outcomes need no status call."""
    loads = [Load(50, seconds, provider=name) for name in UPSTREAMS]
    rounds = [[bench.ours(load) for load in loads] for _ in range(bench.rounds)]
    samsar, *_ = by_provider = list(zip(*rounds, strict=True))
    for load, runs in zip(loads, by_provider, strict=True):
        yield Line(
            f"50 lives/s at {load.provider}: CPU a life / at samsar",
            _cpu_ratio(runs, samsar),
            "",
            f"{_cpu(runs)}; {_middle(runs, _status_calls):.2f} status calls a life",
        )
        yield Line("   outcome p50, p99", _outcomes(runs), "", "")
        yield from _each(runs, [])


def capacity(bench: Bench, seconds: float) -> Iterator[Line]:
    """How many lives a second each service carries."""
    for load, wanted in zip(_capacity(seconds), (">= 300/s", "(dream: 400/s)"), strict=True):
        ours, plain = bench.in_turns(load)
        yield Line(
            f"{load.rate:.0f} lives/s offered: carried",
            _rates([each.carried for each in ours]),
            wanted,
            f"plain app {_rates([each.carried for each in plain])}",
        )
        yield _outcome("   outcome p50, p99", ours, plain, "<= 500 ms")
        yield from _each(ours, plain)


def _capacity(seconds: float) -> tuple[Load, Load]:
    return Load(300, seconds), Load(400, seconds)


def flood(bench: Bench, seconds: float) -> Iterator[Line]:
    """Ten lives a second beside progress callbacks for many other jobs."""
    for rate, bound in ((1_500, "<= 250 ms"), (4_000, "<= 500 ms")):
        ours, plain = bench.in_turns(Load(10, 3 * seconds, flood=rate))
        what = f"10 lives/s beside {rate:,} callbacks/s: outcome"
        yield _outcome(what, ours, plain, bound)
        for what, told, bound in (
            ("from a POST's answer to the provider, p99", _to_provider, "<= 500 ms"),
            ("a callback's answer p50, p99", _flood, ""),
        ):
            yield Line(f"   {what}", told(ours), bound, f"plain app {told(plain)}")
        yield from _each(ours, plain)


def submissions(bench: Bench, seconds: float) -> Iterator[Line]:
    """Many more POSTs than the service can carry, and a slow provider."""
    load = Load(6_000, seconds / 2, warm=1, answer_after=SLOW_PROVIDER, calls_back=False)
    ours, plain = bench.in_turns(load)
    full = SUBMIT_CONCURRENCY / SLOW_PROVIDER
    yield Line(
        "6,000 POSTs/s: submitted / the full rate",
        ratio([each.submitted / full for each in ours]),
        "about 1",
        f"{_rates([each.submitted for each in ours])} of {full:.0f}/s;"
        f" plain app {_rates([each.submitted for each in plain])}",
    )
    yield from _each(ours, plain)


def overload(bench: Bench, seconds: float) -> Iterator[Line]:
    """Three times the load that the service can carry."""
    without = [
        statistics.median(each.carried for each in bench.in_turns(load)[0])
        for load in _capacity(seconds)
    ]
    most = max(without)
    over = [bench.ours(Load(3 * most, seconds)) for _ in range(bench.rounds)]
    yield Line(
        "3 times what is carried: carried / carried without",
        ratio([each.carried / most for each in over]),
        "about 1",
        f"{_middle(over, lambda each: each.carried):.0f}/s of {most:.0f}/s",
    )
    yield Line(
        "   refused",
        f"{_middle(over, lambda each: each.statuses[503] / each.statuses.total()):.0%}",
        "(what is too much)",
    )
    yield from _each(over, [])


MEASURES: dict[str, Callable[[Bench, float], Iterator[Line]]] = {
    "lives": lives,
    "providers": providers,
    "capacity": capacity,
    "flood": flood,
    "submissions": submissions,
    "overload": overload,
}


# --- how it is shown ------------------------------------------------------------------------------


def _outcome(what: str, ours: Runs, plain: Runs, bound: str) -> Line:
    return Line(what, _outcomes(ours), bound, f"plain app {_outcomes(plain)}")


def _outcomes(runs: Runs) -> str:
    p50 = _middle(runs, lambda each: quantile(each.outcomes, 0.5))
    p99 = _middle(runs, lambda each: quantile(each.outcomes, 0.99))
    return f"{_ms(p50)}, {_ms(p99)}"


def _each(ours: Runs, plain: Runs) -> Iterator[Line]:
    """The figures of every single run, and whether its measurement was valid."""
    for name, runs in (("service", ours), ("plain app", plain)):
        for each in runs:
            used = each.usage
            yield Line(
                f"      {name}: cores; of the load; of others",
                f"{used.cores:.2f}; {used.load_cores:.2f}; {used.other_cores:.2f}",
                "",
                "; ".join(_told(each)),
            )


def _told(each: Measured) -> Iterator[str]:
    answers = ", ".join(f"{count} {status}" for status, count in sorted(each.statuses.items()))
    yield f"{each.carried:.1f}/s carried"
    lost = f", {each.lost:,} of them not ended" if each.load.calls_back else ""
    yield f"{each.acknowledged:,} jobs taken{lost}"
    yield f"POSTs {answers}, p99 {_ms(quantile(each.answers, 0.99))}"
    yield f"{each.usage.kernel_cores:.2f} cores in the kernel"
    yield f"load late {_ms(each.late)}"
    yield f"provider {each.report}"
    yield f"memory {' '.join(str(size // 1_000_000) for size in each.usage.memory)} MB"
    if each.flood:
        yield f"flood {each.flood['statuses']} of {each.flood['count']:,}"


def _middle(runs: Runs, figure: Callable[[Measured], float]) -> float:
    return statistics.median(map(figure, runs))


def _status_calls(measured: Measured) -> float:
    calls: int = measured.report["status_calls"]
    return calls / max(1, measured.acknowledged)


def _cpu_ratio(ours: Runs, plain: Runs) -> str:
    # Under a backlog the CPU goes to lives that do not end in the window.
    if any(each.carried < 0.9 * each.load.rate for each in (*ours, *plain)):
        return "not carried"
    return ratio([a.cpu_per_life / b.cpu_per_life for a, b in zip(ours, plain, strict=True)])


def _cpu(runs: Runs) -> str:
    return f"{_middle(runs, lambda each: each.cpu_per_life) * 1_000:.2f} ms"


def _to_provider(runs: Runs) -> str:
    return _ms(_middle(runs, lambda each: quantile(each.to_provider, 0.99)))


def _flood(runs: Runs) -> str:
    p50, p99 = (statistics.median(each.flood[name] for each in runs) for name in ("p50", "p99"))
    return f"{_ms(p50)}, {_ms(p99)}"


def _rates(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):.0f}/s ({min(rates):.0f} to {max(rates):.0f})"


def _ms(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds * 1_000:,.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=WHAT)
    parser.add_argument("--only", default=",".join(MEASURES), help="some of %(default)s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--postgres", action="store_true", help="in place of SQLite")
    parser.add_argument("--replicas", type=int, default=1, help="processes of the service")
    given = parser.parse_args()
    allow_many_connections()
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer.running(**SAFE)) if given.postgres else None
        provider = stack.enter_context(ready_server("provider"))
        bench = Bench(provider, server, given.replicas, given.rounds)
        for name in given.only.split(","):
            show(MEASURES[name](bench, given.seconds))


if __name__ == "__main__":
    main()
