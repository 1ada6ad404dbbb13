"""Event streams at scale, each figure beside its baseline in the same run:
`python -m tests.benchmarks.streams [NAME …]`."""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

import httpx
import uvloop

from tests.benchmarks.listeners import Audience, Source, at_rate, publish
from tests.benchmarks.sender import Sender, request
from tests.benchmarks.stream_world import (
    NCHAN_MODULE,
    Callbacks,
    cpu_seconds,
    fill,
    idle_process,
    memory,
    nchan,
)
from tests.benchmarks.table import Line, show
from tests.benchmarks.world import Server, announced, service

KIB, MIB = 1024, 1024 * 1024
EVENT = json.dumps({"job": "x" * 600})
"""As long as one of ours."""


# --- fan-out against others -----------------------------------------------------------------------


@dataclass
class FanOut:
    """One server that gives a user's events to all of that user's streams."""

    name: str
    server: Server
    source: Source
    publish: Callable[[], bytes]


@contextmanager
def fan_outs(folder: Path) -> Iterator[list[FanOut]]:
    """Ours and every other that can be had here."""
    (reader,) = asyncio.run(fill(folder / "fan.db", 1, jobs=10))
    callbacks = Callbacks()
    json_type = "Content-Type: application/json\r\n"
    with ExitStack() as stack:
        ours = stack.enter_context(service(folder / "fan.db", STREAM_MAX_PER_KEY="10000"))
        others = stack.enter_context(announced("peers", "sse-starlette"))
        found = [
            FanOut(
                "receiver",
                ours,
                Source(ours.port, "/v1/events", reader.headers),
                lambda: callbacks.next(reader),
            ),
            FanOut(
                "sse-starlette",
                others,
                Source(others.port, "/events/one"),
                lambda: request("POST", "/events/one", EVENT.encode(), json_type),
            ),
        ]
        if NCHAN_MODULE.exists():
            nginx = stack.enter_context(nchan(folder))
            as_update = "X-EventSource-Event: update\r\nAccept: text/json\r\n"
            found.append(
                FanOut(
                    "nchan",
                    nginx,
                    Source(nginx.port, "/events/one", "Accept: text/event-stream\r\n"),
                    lambda: request("POST", "/publish/one", EVENT.encode(), as_update),
                )
            )
        yield found


async def _cpu_of(target: FanOut, streams: int, events: int, rate: float) -> float:
    """CPU seconds of so many events to so many streams."""
    audience, publisher = Audience(), Sender([target.server.port], 1)
    await audience.open([target.source] * streams)
    before = cpu_seconds(target.server)
    await at_rate(lambda _: publish(publisher, target.publish()), rate, events)
    await audience.tally.until(lambda: audience.tally.events == events * streams)
    spent = cpu_seconds(target.server) - before
    await audience.close()
    publisher.close()
    return spent


def cpu_a_delivery(folder: Path) -> Iterator[Line]:
    """What one event to one stream costs, without what the event itself does."""
    streams, events, rate, rounds = 1_000, 40, 20.0, 5
    with fan_outs(folder) as targets:
        costs: dict[str, list[float]] = {target.name: [] for target in targets}
        for target in targets:
            uvloop.run(_cpu_of(target, streams, 5, rate))  # warms up
        for _ in range(rounds):
            for target in targets:
                alone = uvloop.run(_cpu_of(target, 0, events, rate))
                spent = uvloop.run(_cpu_of(target, streams, events, rate))
                costs[target.name].append((spent - alone) / (streams * events))
    ours = median(costs["receiver"])
    for name, most in (("nchan", 1.3), ("sse-starlette", 1 / 3)):
        if name in costs:
            theirs = median(costs[name])
            each = [a / b for a, b in zip(costs["receiver"], costs[name], strict=True)]
            yield Line(
                f"CPU a delivery, receiver / {name}",
                f"{ours / theirs:.2f}",
                f"<= {most:.2f}",
                f"{ours * 1e6:.1f} µs against {theirs * 1e6:.1f} µs;"
                f" by round {min(each):.2f} to {max(each):.2f}",
            )


async def _memory_of(target: FanOut, streams: int) -> float:
    audience = Audience()
    await audience.open([target.source] * 50)  # warms up
    before = memory(target.server)
    await audience.open([target.source] * streams)
    grown = memory(target.server) - before
    await audience.close()
    return grown / streams


def memory_a_connection(folder: Path) -> Iterator[Line]:
    """What an open stream holds."""
    with fan_outs(folder) as targets:
        held = {target.name: uvloop.run(_memory_of(target, 2_000)) for target in targets}
    others = ", ".join(f"{name} {size / KIB:.1f} KiB" for name, size in list(held.items())[1:])
    yield Line("memory a connection", f"{held['receiver'] / KIB:.1f} KiB", "<= 16 KiB", others)


# --- ours alone -----------------------------------------------------------------------------------


def latency(folder: Path) -> Iterator[Line]:
    """2,000 users with a stream each, 500 events a second among them."""
    readers = asyncio.run(fill(folder / "latency.db", 2_000))

    async def run(server: Server) -> list[float]:
        audience, callbacks = Audience(), Callbacks()
        await audience.open(
            [Source(server.port, "/v1/events", reader.headers) for reader in readers], timed=True
        )
        publishers = Sender([server.port], 16)
        await asyncio.sleep(1)
        events = 5_000

        async def send(index: int) -> None:
            reader = readers[index * 7 % len(readers)]
            await publish(publishers, callbacks.next(reader))

        audience.tally.lags.clear()
        await at_rate(send, 500, events, lanes=16)
        await audience.tally.until(lambda: audience.tally.events >= events)
        await audience.close()
        return sorted(audience.tally.lags)

    with service(folder / "latency.db") as server, idle_process() as lateness:
        lags = uvloop.run(run(server))
        late = lateness()
        share = _share_within(server, "0.005")
    yield Line(
        "2,000 users, 500 events/s: within 5 ms at the socket",
        f"{share:.2%}",
        ">= 99%",
        f"by its own clock; at the clients p50 {lags[len(lags) // 2] * 1e3:.1f} ms,"
        f" p99 {lags[len(lags) * 99 // 100] * 1e3:.1f} ms;"
        f" an idle process wakes {late * 1e3:.1f} ms late at p99",
    )


def _share_within(server: Server, bound: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics", trust_env=False).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    within = float(values[f'receiver_stream_lag_seconds_bucket{{le="{bound}"}}'])
    return within / float(values["receiver_stream_lag_seconds_count"])


def stalled(folder: Path) -> Iterator[Line]:
    """50 readers that take nothing: half of them from now on, half with 6 MiB to catch up with."""
    (reader,) = asyncio.run(fill(folder / "stalled.db", 1, jobs=20))

    async def run(server: Server) -> tuple[int, int]:
        moving, standing, callbacks = Audience(), Audience(), Callbacks()
        publisher = Sender([server.port], 1)
        live = Source(server.port, "/v1/events", reader.headers)

        async def publish_some(events: int) -> None:
            wanted = moving.tally.events + events
            for _ in range(events):
                await publish(publisher, callbacks.next(reader, "x" * 7_500))
            await moving.tally.until(lambda: moving.tally.events >= wanted)

        await moving.open([live])
        await publish_some(400)
        began = memory(server)
        await publish_some(400)
        alone = memory(server) - began
        await standing.open([live] * 25, stalled=True)
        await standing.open([Source(server.port, "/v1/events", reader.resuming)] * 25, stalled=True)
        await publish_some(400)
        grown = memory(server) - began - 2 * alone
        await moving.close()
        await standing.close()
        return grown, alone

    with service(folder / "stalled.db") as server:
        grown, alone = uvloop.run(run(server))
    yield Line(
        "50 stalled readers",
        f"{grown / MIB:.1f} MiB",
        "<= 10 MiB",
        f"beside {alone / MIB:.1f} MiB that the same events take without them",
    )


def resume(folder: Path) -> Iterator[Line]:
    """A restart, and 2,000 clients that each lack 20 events come at once."""
    readers = asyncio.run(fill(folder / "resume.db", 2_000, events=20))

    async def run(server: Server) -> float:
        audience = Audience()
        began = time.perf_counter()
        await audience.open(
            [Source(server.port, "/v1/events", reader.resuming) for reader in readers]
        )
        await audience.tally.until(lambda: audience.tally.events >= 20 * len(readers))
        seconds = time.perf_counter() - began
        assert audience.tally.events == 20 * len(readers)
        await audience.close()
        return seconds

    with service(folder / "resume.db") as server:
        seconds = uvloop.run(run(server))
    yield Line("restart: 2,000 clients that lack 20 events", f"{seconds:.2f} s", "<= 3 s")


def stop(folder: Path) -> Iterator[Line]:
    """SIGTERM with 1,000 streams."""
    readers = asyncio.run(fill(folder / "stop.db", 1_000))

    async def run(server: Server) -> tuple[float, int]:
        audience = Audience()
        await audience.open(
            [Source(server.port, "/v1/events", reader.headers) for reader in readers]
        )
        began = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        await audience.tally.until(lambda: audience.tally.open == 0)
        server.process.wait(10)
        return time.perf_counter() - began, audience.tally.ended_cleanly

    with service(folder / "stop.db") as server:
        seconds, clean = uvloop.run(run(server))
        status = server.process.returncode
    yield Line(
        "SIGTERM with 1,000 streams",
        f"{seconds:.2f} s, exit {status}",
        "<= 3 s, exit 0",
        f"{clean} ended cleanly",
    )


Scenario: TypeAlias = Callable[[Path], Iterator[Line]]
SCENARIOS: dict[str, Scenario] = {
    each.__name__: each
    for each in (cpu_a_delivery, memory_a_connection, latency, stalled, resume, stop)
}


def measure(*names: str) -> Iterator[Line]:
    for name in names or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            yield from SCENARIOS[name](Path(folder))


if __name__ == "__main__":
    show(measure(*sys.argv[1:]))
