"""A load of whole lives: each job is posted when it is due, a provider completes it, and its user's
stream is read to the end. Optionally, a flood of progress callbacks for other jobs runs beside
it."""

import asyncio
import json
import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from tests.benchmarks import costs
from tests.benchmarks.life_figures import Load, Measured, Usage
from tests.benchmarks.sender import Exchange, Sender, request
from tests.benchmarks.table import quantile
from tests.benchmarks.upstreams import SAMSAR, UPSTREAMS, Upstream
from tests.benchmarks.world import key_of

KEY, OTHER_KEY = key_of(0), key_of(1)
"""The key of the user who is measured, and that of the user whose jobs get the flood. Nobody reads
the latter's stream."""
CONNECTIONS = 1_024
SECONDS_TO_END = 30.0
"""Seconds after the load in which lives may still end; later they count as never ended."""
CALLBACKS_PER_JOB = 150
"""Below the 200 that a service stores for one job."""
MEMORY_SAMPLES = 5
"""How many samples of memory are taken in the window: with a long `--seconds` they show whether it
grows."""


@dataclass(frozen=True)
class Target:
    """A service under load: one process, or some that share a store."""

    ports: list[int]
    pids: list[int]


async def run(load: Load, target: Target, provider_port: int, provider_pid: int) -> Measured:
    return await _Run(load, target, provider_port, provider_pid).measured()


class _Run:
    def __init__(self, load: Load, target: Target, provider_port: int, provider_pid: int) -> None:
        self._load = load
        self._target = target
        self._provider = Sender([provider_port], 4)
        self._provider_pid = provider_pid
        self._reader = _StreamReader()
        self._due: dict[str, float] = {}
        self._posts: dict[str, Exchange] = {}
        self._late: list[float] = []

    async def measured(self) -> Measured:
        load, target = self._load, self._target
        await self._ask(
            "/begin", ports=target.ports, answer_after=load.answer_after, calls_back=load.calls_back
        )
        if load.flood:
            await self._post_flooded()
        await self._reader.open(target.ports[0])
        sender = Sender(target.ports, CONNECTIONS)
        self._began = time.perf_counter() + load.warm
        self._ended = self._began + load.seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._post(sender))
            await _until(self._began)
            watched = tasks.create_task(self._watched())
            flooded = tasks.create_task(self._flooded())
        usage, flood = watched.result(), flooded.result()
        report, acknowledged, lost = await self._end()
        for each in (sender, self._provider, self._reader):
            each.close()
        known = self._reader.known
        called: dict[str, float] = report.pop("called")
        submitted: dict[str, float] = report.pop("submitted")
        posts = {name: each for name, each in self._posts.items() if self._within(self._due[name])}
        return Measured(
            load=load,
            outcomes=[
                known.get(name, math.inf) - at for name, at in called.items() if self._within(at)
            ],
            to_provider=[
                max(submitted.get(name, math.inf) - each.answered_at, 0)
                for name, each in posts.items()
                if each.status == 202
            ],
            answers=[
                each.answered_at - self._due[name] for name, each in posts.items() if each.status
            ],
            statuses=Counter(each.status for each in posts.values()),
            carried=sum(map(self._within, known.values())) / load.seconds,
            submitted=sum(map(self._within, submitted.values())) / load.seconds,
            acknowledged=acknowledged,
            lost=lost,
            usage=usage,
            late=quantile(self._late, 0.99),
            report=report,
            flood=flood,
        )

    def _within(self, at: float) -> bool:
        """Whether this time is in the measured window."""
        return self._began <= at < self._ended

    async def _ask(self, path: str, **body: Any) -> dict[str, Any]:
        exchange = await self._provider.ask(request("POST", path, json.dumps(body).encode()))
        return cast(dict[str, Any], json.loads(exchange.body))

    async def _post_flooded(self) -> None:
        """Have the provider accept the jobs of the flood."""
        jobs = math.ceil(self._load.flood * self._load.seconds / CALLBACKS_PER_JOB)
        sender = Sender(self._target.ports, 16)
        for number in range(jobs):
            sender.send(submission(f"flood {number}", OTHER_KEY, SAMSAR))
        until = time.perf_counter() + 120
        while len((await self._ask("/report"))["submitted"]) < jobs:
            assert time.perf_counter() < until, "the flood's jobs are not submitted"
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)  # the service has yet to store the provider's ids
        sender.close()

    async def _post(self, sender: Sender) -> None:
        """Post each job when it is due: in even slots, at a random time within each."""
        load = self._load
        upstream = UPSTREAMS[load.provider]
        rng = random.Random(1)  # the same arrivals for both services
        for number in range(int(load.rate * (load.warm + load.seconds))):
            due = self._began - load.warm + (number + rng.random()) / load.rate
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            elif number % 16 == 0:
                await asyncio.sleep(0)
            name = f"life-{number}"
            self._due[name] = due
            self._late.append(time.perf_counter() - due)
            self._posts[name] = sender.send(submission(f"life {number}", KEY, upstream))
        await _until(self._ended)
        sender.drop_waiting()

    async def _watched(self) -> Usage:
        """What was used in the measured window."""
        before = self._cpu()
        memory = []
        for part in range(MEMORY_SAMPLES):
            await _until(self._began + self._load.seconds * part / (MEMORY_SAMPLES - 1))
            memory.append(costs.resident(self._target.pids))
        service, kernel, load, machine = (
            (later - earlier) / self._load.seconds
            for earlier, later in zip(before, self._cpu(), strict=True)
        )
        return Usage(service, kernel, load, machine - service - load, memory)

    def _cpu(self) -> tuple[float, ...]:
        """CPU seconds of the service, of that in the kernel, of load and provider, and of the whole
        machine."""
        pids = self._target.pids
        return (
            costs.cpu_seconds(pids),
            costs.kernel_seconds(pids),
            costs.cpu_seconds([self._provider_pid]) + time.process_time(),
            costs.machine_cpu_seconds(),
        )

    async def _flooded(self) -> dict[str, Any]:
        """The provider's report on the flood."""
        if not self._load.flood:
            return {}
        return await self._ask("/flood", rate=self._load.flood, seconds=self._load.seconds)

    async def _end(self) -> tuple[dict[str, Any], int, int]:
        """Wait until every accepted job has ended: the provider's report, how many jobs were
        accepted, and how many of them had not ended."""
        until = time.perf_counter() + SECONDS_TO_END
        while True:
            posts = self._posts.values()
            open_ = sum(each.sent_at > 0 and each.answered_at == 0 for each in posts)
            taken = [name for name, each in self._posts.items() if each.status == 202]
            lost = sum(name not in self._reader.known for name in taken)
            if not (self._load.calls_back and open_ + lost) or time.perf_counter() > until:
                return await self._ask("/report"), len(taken), lost
            await asyncio.sleep(0.1)


class _StreamReader(asyncio.Protocol):
    """Reads a user's stream, and records when it shows that a job is completed."""

    def __init__(self) -> None:
        self.known: dict[str, float] = {}
        self._rest = b""

    async def open(self, port: int) -> None:
        """Open the stream, and wait for the first bytes."""
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        await self._begun

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport has every method of asyncio's, but is no subclass of it.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(request("GET", "/v1/events", headers=f"API-KEY: {KEY}\r\n"))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self._begun.done():
            assert data.startswith(b"HTTP/1.1 200"), data[:500]
            self._begun.set_result(None)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if b'"COMPLETED"' in line:
                name = line.partition(b"https://cdn.test/")[2].partition(b".mp4")[0]
                self.known.setdefault(name.decode(), now)

    def close(self) -> None:
        self._transport.abort()


def submission(prompt: str, key: str, upstream: Upstream) -> bytes:
    """An HTTP request that submits a job."""
    body = (
        b'{"provider":"%s","kind":"%s","input":{"prompt":"%s","image_model":"IMAGEN3",'
        b'"video_model":"LUMA","duration":10}}'
        % (upstream.name.encode(), upstream.kind.encode(), prompt.encode())
    )
    return request(
        "POST", "/v1/jobs", body, f"Content-Type: application/json\r\nAPI-KEY: {key}\r\n"
    )


async def _until(at: float) -> None:
    await asyncio.sleep(at - time.perf_counter())
