"""The relay, with a real store, worker and sender: `python -m tests.benchmarks.relay`.

1. How many messages a second reach healthy sinks: one host, which takes 4 at once, and sixteen.
2. What 200 dead addresses do to one healthy address: its p99, from the commit of a message to its
   arrival, with them and without. Dead is either refusing connections, or taking them and never
   answering. 2,000 messages to them are due at once as it begins: the first seconds, in which the
   relay finds out which are dead, have a figure of their own.
"""

import asyncio
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar, cast

import structlog
import uvloop

from receiver.actions.cancel_job import cancel_job
from receiver.actions.context import ServiceContext
from receiver.actions.status_calls import StatusCalls
from receiver.actions.submit_job import Submission, new_job, submit_job
from receiver.clock import SystemClock
from receiver.domain.schedule import Rules
from receiver.metrics import Metrics
from receiver.streams.hub import Hub
from receiver.webhooks.delivery import WebhookSender
from receiver.webhooks.network import CheckedNetwork
from receiver.webhooks.resolver import Resolver
from receiver.workers.relay import Relay
from receiver.workers.supervisor import Supervisor
from store.ids import Ids
from store.keys import ApiKey, User
from store.open import open_store
from tests.benchmarks.table import Line, show

USERS = 24
SCHEDULE = [0, 5_000, 300_000]
TIMEOUT = 15.0
FIRST_SECONDS = 5.0
ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Sink(asyncio.Protocol):
    """Answers 204, and notes when each message came."""

    arrivals: ClassVar[dict[bytes, float]] = {}
    all_came = asyncio.Event()
    expected = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by inheritance, and all of one otherwise.
        self._transport = cast(asyncio.Transport, transport)
        self._came = b""

    def data_received(self, data: bytes) -> None:
        self._came += data
        _, end, body = self._came.partition(b"\r\n\r\n")
        if end and body.endswith(b"}"):
            self.arrivals[body.partition(b'"request_id":"')[2][:30]] = time.perf_counter()
            self._transport.write(ANSWER)
            self._transport.close()
            if len(self.arrivals) >= self.expected:
                self.all_came.set()


class World:
    """A store with users, and a relay that works."""

    def __init__(self, services: ServiceContext, users: list[User]) -> None:
        self.services = services
        self.users = users

    async def message(self, url: str, user: User) -> bytes:
        """Make a job whose end is relayed to `url`; its id once that is on disk."""
        job_id = await self.prepare(url, user)
        await cancel_job(self.services, job_id)
        return job_id.encode()

    async def prepare(self, url: str, user: User) -> str:
        submission = Submission("none", "create_movie", {}, url, ("CANCELLED",), {})
        new = new_job(self.services, user.id, user.name, submission)
        await submit_job(self.services, new)
        return new.job.id


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(f"sqlite:///{Path(folder) / 'relay.db'}", entropy=os.urandom)
        clock = SystemClock()
        metrics = Metrics("benchmark")
        status_calls = StatusCalls(clock, metrics, rate=1, at_once=1)
        services = ServiceContext(
            store, "bench", clock, Ids(os.urandom), Rules(), {}, metrics, status_calls
        )
        hub = Hub()
        store.on_change = hub.announce
        users = []
        for number in range(USERS):
            key = ApiKey(f"{number:064}", f"rk_{number:08}", 0, f"u{number}", False, 0, None)
            users.append(await store.keys.add(key, "whsec_" + "A" * 32))
        allow_nets = [ip_network("127.0.0.0/8")]
        network = CheckedNetwork(Resolver().resolve, allow_http=True, allow_nets=allow_nets)
        sender = WebhookSender(network, clock)
        relay = Relay(
            services, hub, sender, schedule=SCHEDULE, timeout=TIMEOUT, jitter=random.random
        )
        supervisor = Supervisor([relay], clock, services.metrics)
        supervisor.start()
        try:
            yield World(services, users)
        finally:
            await supervisor.stop()
            await store.close()


@asynccontextmanager
async def sinks(count: int) -> AsyncIterator[list[str]]:
    """Addresses that answer."""
    loop = asyncio.get_running_loop()
    Sink.arrivals.clear()
    Sink.all_came.clear()
    servers = [await loop.create_server(Sink, "127.0.0.1", 0, backlog=1024) for _ in range(count)]
    try:
        yield [f"http://127.0.0.1:{s.sockets[0].getsockname()[1]}/" for s in servers]
    finally:
        for server in servers:
            server.close()


@asynccontextmanager
async def dead(kind: str) -> AsyncIterator[list[str]]:
    """Two hundred addresses of one kind, each a host of its own."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "0.0.0.0", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1] if kind == "hanging" else 9
    try:
        yield [] if kind == "none" else [f"http://127.0.1.{n}:{port}/" for n in range(1, 201)]
    finally:
        server.close()


async def throughput(hosts: int, messages: int) -> tuple[float, float]:
    """Messages a second, and milliseconds of the processor for each (the sink's are among them):
    what a busy machine cannot falsify."""
    async with world() as made, sinks(hosts) as urls:
        Sink.expected = messages
        for number in range(0, messages, 200):
            await asyncio.gather(
                *(
                    made.message(urls[n % hosts], made.users[n // hosts % USERS])
                    for n in range(number, number + 200)
                )
            )
        so_far, began, used = len(Sink.arrivals), time.perf_counter(), time.process_time()
        await Sink.all_came.wait()
        left = messages - so_far
        used = time.process_time() - used
        return left / (time.perf_counter() - began), used / left * 1_000


async def latencies(kind: str, seconds: float, rate: float) -> tuple[float, float]:
    """p99 of the messages to one healthy address, while every dead one has a backlog: of those in
    the first seconds, and of the others."""
    async with world() as made, sinks(1) as [healthy], dead(kind) as bad:
        healthy_user, *others = made.users
        await asyncio.gather(
            *(
                made.message(url, others[n % len(others)])
                for _ in range(10)
                for n, url in enumerate(bad)
            )
        )
        sent: dict[bytes, float] = {}
        Sink.expected = sys.maxsize
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            job_id = await made.message(healthy, healthy_user)
            sent[job_id] = time.perf_counter()
            await asyncio.sleep(1 / rate)
        Sink.expected = len(sent)
        if len(Sink.arrivals) >= Sink.expected:
            Sink.all_came.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(Sink.all_came.wait(), 30)
        waits = {at: Sink.arrivals.get(job_id, until + 30) - at for job_id, at in sent.items()}
        settled = until - seconds + FIRST_SECONDS
        return (
            _quantile([wait for at, wait in waits.items() if at < settled], 0.99),
            _quantile([wait for at, wait in waits.items() if at >= settled], 0.99),
        )


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def _measure() -> list[Line]:
    lines = []
    for hosts in (1, 16):
        rounds = [await throughput(hosts, 2_000) for _ in range(3)]
        rate, used = (statistics.median(figures) for figures in zip(*rounds, strict=True))
        beside = f"{used:.2f} ms of a core each"
        lines.append(
            Line(f"relay to {hosts} healthy host(s)", f"{rate:,.0f}/s", ">= 500/s", beside)
        )
    _, alone = await latencies("none", 25, 20)
    for kind in ("refusing", "hanging"):
        first, later = await latencies(kind, 25, 20)
        beside = (
            f"{later * 1_000:.0f} ms / {alone * 1_000:.0f} ms;"
            f" {first * 1_000:.0f} ms in the first {FIRST_SECONDS:g} s"
        )
        what = f"relay p99 beside 200 {kind} hosts / without"
        lines.append(Line(what, f"{later / alone:.1f}", "<= 2", beside))
    return lines


def measure() -> list[Line]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


if __name__ == "__main__":
    show(measure())
