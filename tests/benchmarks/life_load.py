"""A load of whole lives: each job is posted when it is due, a provider completes it, and its user's
stream is read to the end. Optionally, a flood of progress callbacks for other jobs runs beside
it."""

import asyncio
import json
import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from tests.benchmarks import costs
from tests.benchmarks.event_readers import EventReader
from tests.benchmarks.sender import Exchange, Sender, request
from tests.benchmarks.table import quantile
from tests.benchmarks.world import Server, key_of

KEY, OTHER_KEY = key_of(0), key_of(1)
"""The key of the user who is measured, and that of the user whose jobs get the flood. Nobody reads
the latter's stream."""
CONNECTIONS = 1_024
WARM = 2.0
"""Seconds of load before what is measured."""
SECONDS_TO_END = 30.0
"""Seconds after the load in which lives may still end; later they count as never ended."""
CALLBACKS_PER_JOB = 150
"""Below the 200 that a service stores for one job."""


@dataclass(frozen=True)
class Load:
    """The load that is offered."""

    rate: float
    """Jobs a second."""
    seconds: float
    """Seconds that are measured."""
    flood: float = 0.0
    """Progress callbacks a second for other jobs, during the measurement."""


@dataclass
class Measured:
    """The result of one load. Latencies are in seconds; infinite if the event never came."""

    load: Load
    outcomes: list[float] = field(repr=False)
    """From sending a callback to the stream's COMPLETED; for callbacks of the window."""
    answers: list[float] = field(repr=False)
    """From the time a POST was due to its answer; for POSTs of the window."""
    statuses: Counter[int]
    """Of the POSTs of the window; 0 means no answer."""
    carried: float
    """Lives a second that were completed in the window."""
    lost: int
    """Accepted jobs that had not ended when the benchmark stopped waiting."""
    cores: float
    """CPU seconds a second that the service used in the window."""
    load_cores: float
    """Those of the load generator and the provider."""
    other_cores: float
    """Those of everything else on the machine, including a database server."""
    late: float
    """How late the load generator sent its requests, 99th percentile."""
    report: dict[str, Any]
    """The provider's report."""
    flood: dict[str, Any]
    """The provider's report on the flood."""

    @property
    def cpu_per_life(self) -> float:
        """CPU seconds of the service for each life; infinite if none ended."""
        return self.cores / self.carried if self.carried else math.inf


async def run(load: Load, service: Server, provider: Server) -> Measured:
    """Offer this load to the service."""
    return await _Run(load, service, provider).measured()


class _Run:
    def __init__(self, load: Load, service: Server, provider: Server) -> None:
        self._load = load
        self._port, self._pid = service.port, service.process.pid
        self._provider = Sender(provider.port, 4)
        self._provider_pid = provider.process.pid
        self._known: dict[str, float] = {}
        """By the names of lives: when the stream showed that they were completed."""
        self._rest = b""
        self._due: dict[str, float] = {}
        self._posts: dict[str, Exchange] = {}
        self._late: list[float] = []

    async def measured(self) -> Measured:
        load, sender, reader = self._load, Sender(self._port, CONNECTIONS), EventReader(self._read)
        await self._ask("/begin", port=self._port)
        await self._post_flooded()
        await reader.open(self._port, "/v1/events", f"API-KEY: {KEY}\r\n")
        self._began = time.perf_counter() + WARM
        self._ended = self._began + load.seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._post(sender))
            await _until(self._began)
            used = tasks.create_task(self._used())
            flooded = tasks.create_task(self._flooded())
        lost, report = await self._end(), await self._ask("/report")
        for opened in (sender, self._provider, reader):
            opened.close()
        called: dict[str, float] = report.pop("called")
        known, posts = self._known, self._posts
        due = {name: at for name, at in self._due.items() if self._within(at)}
        return Measured(
            load,
            [known.get(name, math.inf) - at for name, at in called.items() if self._within(at)],
            [posts[name].answered_at - at for name, at in due.items() if posts[name].status],
            Counter(posts[name].status for name in due),
            sum(map(self._within, known.values())) / load.seconds,
            lost,
            *used.result(),
            late=quantile(self._late, 0.99),
            report=report,
            flood=flooded.result(),
        )

    def _within(self, at: float) -> bool:
        """Whether this time is in the measured window."""
        return self._began <= at < self._ended

    def _read(self, data: bytes) -> None:
        """Note which lives the stream shows as completed."""
        now = time.perf_counter()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if b'"COMPLETED"' in line:
                name = line.partition(b"https://cdn.test/")[2].partition(b".mp4")[0]
                self._known.setdefault(name.decode(), now)

    async def _ask(self, path: str, **body: Any) -> dict[str, Any]:
        exchange = await self._provider.ask(request("POST", path, json.dumps(body).encode()))
        return cast(dict[str, Any], json.loads(exchange.body))

    async def _post_flooded(self) -> None:
        """Have the provider accept the jobs of the flood."""
        jobs = math.ceil(self._load.flood * self._load.seconds / CALLBACKS_PER_JOB)
        sender = Sender(self._port, 16)
        for number in range(jobs):
            sender.send(submission(f"flood-{number}", OTHER_KEY))
        until = time.perf_counter() + 120
        while (await self._ask("/report"))["flooded"] < jobs:
            assert time.perf_counter() < until, "the flood's jobs are not submitted"
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)  # the service has yet to store the provider's ids
        sender.close()

    async def _post(self, sender: Sender) -> None:
        """Post each job when it is due: in even slots, at a random time within each."""
        load = self._load
        rng = random.Random(1)  # the same arrivals for both services
        for number in range(int(load.rate * (WARM + load.seconds))):
            due = self._began - WARM + (number + rng.random()) / load.rate
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            elif number % 16 == 0:
                await asyncio.sleep(0)
            name = f"life-{number}"
            self._due[name] = due
            self._late.append(time.perf_counter() - due)
            self._posts[name] = sender.send(submission(name, KEY))
        await _until(self._ended)
        sender.drop_waiting()

    async def _used(self) -> tuple[float, float, float]:
        """The cores that the service, the load and the rest of the machine used in the window."""
        before = self._cpu()
        await _until(self._ended)
        service, load, machine = (
            (later - earlier) / self._load.seconds
            for earlier, later in zip(before, self._cpu(), strict=True)
        )
        return service, load, machine - service - load

    def _cpu(self) -> tuple[float, float, float]:
        """CPU seconds of the service, of load and provider, and of the whole machine."""
        load = costs.cpu_seconds([self._provider_pid]) + time.process_time()
        return costs.cpu_seconds([self._pid]), load, costs.machine_cpu_seconds()

    async def _flooded(self) -> dict[str, Any]:
        """The provider's report on the flood."""
        if not self._load.flood:
            return {}
        return await self._ask("/flood", rate=self._load.flood, seconds=self._load.seconds)

    async def _end(self) -> int:
        """Wait until every accepted job has ended; returns how many had not."""
        until = time.perf_counter() + SECONDS_TO_END
        while True:
            posts = self._posts.items()
            unanswered = any(each.sent_at > 0 and each.answered_at == 0 for _, each in posts)
            lost = sum(each.status == 202 and name not in self._known for name, each in posts)
            if not (unanswered or lost) or time.perf_counter() > until:
                return lost
            await asyncio.sleep(0.1)


def submission(name: str, key: str) -> bytes:
    """An HTTP request that submits a job."""
    body = (
        b'{"kind":"create_movie","input":{"prompt":"%s","image_model":"IMAGEN3",'
        b'"video_model":"LUMA","duration":10}}' % name.encode()
    )
    headers = f"Content-Type: application/json\r\nAPI-KEY: {key}\r\n"
    return request("POST", "/v1/jobs", body, headers)


async def _until(at: float) -> None:
    await asyncio.sleep(at - time.perf_counter())
