"""What an event costs on each of many streams, beside nginx with nchan if it is installed:
`python -m tests.benchmarks.streams`."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop

from tests.benchmarks.costs import cpu_seconds
from tests.benchmarks.event_readers import EventCount
from tests.benchmarks.sender import Sender, paced, request
from tests.benchmarks.table import Line, ratio, show
from tests.benchmarks.world import Callbacks, Server, fill, service
from tests.support.nginx import nginx
from tests.support.ports import free_port

STREAMS, EVENTS, RATE, ROUNDS = 1_000, 40, 20.0, 5
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


@dataclass
class FanOut:
    """A server that sends a user's events to all of that user's streams."""

    server: Server
    path: str
    headers: str
    next_event: Callable[[], bytes]


@contextmanager
def fan_outs(folder: Path) -> Iterator[list[FanOut]]:
    """The service, and nchan if it is installed here."""
    database = f"sqlite:///{folder}/fan.db"
    (account,) = asyncio.run(fill(database, 1, jobs=10))
    with ExitStack() as stack:
        ours = stack.enter_context(service(database, STREAM_MAX_PER_KEY="10000"))
        key = f"API-KEY: {account.key}\r\n"
        found = [FanOut(ours, "/v1/events", key, Callbacks(account).next)]
        if NCHAN_MODULE.exists():
            port = free_port()
            module = f"load_module {NCHAN_MODULE};"
            process = stack.enter_context(nginx(folder, NCHAN.format(port=port), modules=module))
            as_update = "X-EventSource-Event: update\r\nAccept: text/json\r\n"
            message = request("POST", "/publish/one", EVENT.encode(), as_update)
            accept = "Accept: text/event-stream\r\n"
            found.append(FanOut(Server(port, process), "/events/one", accept, lambda: message))
        yield found


async def cpu_of(target: FanOut, streams: int, events: int) -> float:
    """CPU seconds for sending this many events to this many streams."""
    readers, publisher = EventCount(), Sender(target.server.port, 1)
    await readers.open(streams, target.server.port, target.path, target.headers)
    before = cpu_seconds([target.server.process.pid])
    async for _ in paced(events, RATE):
        exchange = await publisher.ask(target.next_event())
        assert 200 <= exchange.status < 300, exchange
    await readers.until(events * streams)
    spent = cpu_seconds([target.server.process.pid]) - before
    readers.close()
    publisher.close()
    return spent


def per_delivery(target: FanOut) -> float:
    """CPU seconds of one event to one stream, without the cost of creating the event."""
    alone = uvloop.run(cpu_of(target, 0, EVENTS))
    return (uvloop.run(cpu_of(target, STREAMS, EVENTS)) - alone) / (STREAMS * EVENTS)


def measure() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as name, fan_outs(Path(name)) as targets:
        for target in targets:
            uvloop.run(cpu_of(target, STREAMS, 5))  # warms up
        rounds = [[per_delivery(target) for target in targets] for _ in range(ROUNDS)]
    cost = f"{median(ours for ours, *_ in rounds) * 1e6:.1f} µs"
    yield Line("CPU of an event to a stream", cost, "")
    if len(targets) > 1:
        against = ratio([ours / theirs for ours, theirs in rounds])
        yield Line("   receiver / nchan", against, "<= 1.3")


if __name__ == "__main__":
    show(measure())
