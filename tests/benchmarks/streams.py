"""Event streams at scale, each figure beside its baseline in the same run:
`python -m tests.benchmarks.streams [NAME …]`."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

import uvloop

from tests.benchmarks.costs import cpu_seconds, private_memory
from tests.benchmarks.event_readers import EventReaders, Source
from tests.benchmarks.sender import Sender, paced, request
from tests.benchmarks.table import Line, show
from tests.benchmarks.world import Account, Callbacks, Server, fill, ready_server, service
from tests.support.nginx import nginx
from tests.support.ports import free_port

KIB, MIB = 1024, 1024 * 1024
EVENT = json.dumps({"job": "x" * 600})
"""As long as an event of the service."""
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NCHAN = """
server {{
  listen 127.0.0.1:{port};
  location ~ /publish/(.+)$ {{ nchan_publisher http; nchan_channel_id $1; }}
  location ~ /events/(.+)$ {{
    nchan_subscriber eventsource;
    nchan_channel_id $1;
    nchan_subscriber_first_message newest;
  }}
}}
"""


async def publish(sender: Sender, event: bytes) -> None:
    """Publish an event, and wait for its 2xx."""
    exchange = await sender.ask(event)
    assert 200 <= exchange.status < 300, exchange


def stream_of(server: Server, account: Account) -> Source:
    return Source(server.port, "/v1/events", account.headers)


# --- fan-out against others -----------------------------------------------------------------------


@dataclass
class FanOut:
    """A server that sends a user's events to all of that user's streams."""

    name: str
    server: Server
    source: Source
    next_event: Callable[[], bytes]

    @property
    def pids(self) -> list[int]:
        return [self.server.process.pid]


@contextmanager
def fan_outs(folder: Path) -> Iterator[list[FanOut]]:
    """The service, and every peer that is installed here."""
    database = f"sqlite:///{folder}/fan.db"
    (account,) = asyncio.run(fill(database, 1, jobs=10))
    with ExitStack() as stack:
        ours = stack.enter_context(service(database, STREAM_MAX_PER_KEY="10000"))
        peer = stack.enter_context(ready_server("peers", "sse-starlette"))
        event = request("POST", "/events/one", EVENT.encode(), "Content-Type: application/json\r\n")
        found = [
            FanOut("receiver", ours, stream_of(ours, account), Callbacks(account).next),
            FanOut("sse-starlette", peer, Source(peer.port, "/events/one"), lambda: event),
        ]
        if NCHAN_MODULE.exists():
            port = free_port()
            module = f"load_module {NCHAN_MODULE};"
            process = stack.enter_context(nginx(folder, NCHAN.format(port=port), modules=module))
            as_update = "X-EventSource-Event: update\r\nAccept: text/json\r\n"
            message = request("POST", "/publish/one", EVENT.encode(), as_update)
            source = Source(port, "/events/one", "Accept: text/event-stream\r\n")
            found.append(FanOut("nchan", Server(port, process), source, lambda: message))
        yield found


async def _cpu_of(target: FanOut, streams: int, events: int, rate: float) -> float:
    """CPU seconds for sending this many events to this many streams."""
    readers, publisher = EventReaders(), Sender([target.server.port], 1)
    await readers.open([target.source] * streams)
    before = cpu_seconds(target.pids)
    async for _ in paced(events, rate):
        await publish(publisher, target.next_event())
    await readers.until(lambda: readers.events == events * streams)
    spent = cpu_seconds(target.pids) - before
    readers.close()
    publisher.close()
    return spent


def cpu_per_delivery(folder: Path) -> Iterator[Line]:
    """The cost of one event to one stream, without the cost of creating the event."""
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
    readers = EventReaders()
    await readers.open([target.source] * 50)  # warms up
    before = private_memory(target.pids)
    await readers.open([target.source] * streams)
    grown = private_memory(target.pids) - before
    readers.close()
    return grown / streams


def memory_per_connection(folder: Path) -> Iterator[Line]:
    """The memory that an open stream takes."""
    with fan_outs(folder) as targets:
        held = {target.name: uvloop.run(_memory_of(target, 2_000)) for target in targets}
    others = ", ".join(f"{name} {size / KIB:.1f} KiB" for name, size in list(held.items())[1:])
    yield Line("memory a connection", f"{held['receiver'] / KIB:.1f} KiB", "<= 16 KiB", others)


# --- ours alone -----------------------------------------------------------------------------------


def stalled(folder: Path) -> Iterator[Line]:
    """50 readers that stop reading: half of them right away, half with 6 MiB still to receive."""
    database = f"sqlite:///{folder}/stalled.db"
    (account,) = asyncio.run(fill(database, 1, jobs=20))

    async def run(server: Server) -> tuple[int, int]:
        moving, standing, callbacks = EventReaders(), EventReaders(), Callbacks(account)
        publisher, pids = Sender([server.port], 1), [server.process.pid]
        live = stream_of(server, account)

        async def publish_some(events: int) -> None:
            wanted = moving.events + events
            for _ in range(events):
                await publish(publisher, callbacks.next("x" * 7_500))
            await moving.until(lambda: moving.events >= wanted)

        await moving.open([live])
        await publish_some(400)
        began = private_memory(pids)
        await publish_some(400)
        alone = private_memory(pids) - began
        resumed = Source(server.port, "/v1/events", account.resuming)
        await standing.open([live] * 25 + [resumed] * 25, stalled=True)
        await publish_some(400)
        grown = private_memory(pids) - began - 2 * alone
        moving.close()
        standing.close()
        return grown, alone

    with service(database) as server:
        grown, alone = uvloop.run(run(server))
    beside = f"beside {alone / MIB:.1f} MiB that the same events take without them"
    yield Line("50 stalled readers", f"{grown / MIB:.1f} MiB", "<= 10 MiB", beside)


def resume(folder: Path) -> Iterator[Line]:
    """2,000 clients that reconnect at once after a restart, each 20 events behind."""
    database = f"sqlite:///{folder}/resume.db"
    accounts = asyncio.run(fill(database, 2_000, jobs=1, events=20))

    async def run(server: Server) -> float:
        readers = EventReaders()
        began = time.perf_counter()
        await readers.open([Source(server.port, "/v1/events", each.resuming) for each in accounts])
        await readers.until(lambda: readers.events >= 20 * len(accounts))
        seconds = time.perf_counter() - began
        assert readers.events == 20 * len(accounts)
        readers.close()
        return seconds

    with service(database) as server:
        seconds = uvloop.run(run(server))
    yield Line("restart: 2,000 clients that lack 20 events", f"{seconds:.2f} s", "<= 3 s")


Scenario: TypeAlias = Callable[[Path], Iterator[Line]]
SCENARIOS: dict[str, Scenario] = {
    each.__name__: each for each in (cpu_per_delivery, memory_per_connection, stalled, resume)
}


def measure(*names: str) -> Iterator[Line]:
    for name in names or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            yield from SCENARIOS[name](Path(folder))


if __name__ == "__main__":
    show(measure(*sys.argv[1:]))
