"""A cheap provider for the benchmarks, in a process of its own:
`python -m tests.benchmarks.provider PORT`.

It implements the providers' APIs as far as the measured services use them. A job's prompt is its
name, `life N` or `flood N`. A life is completed half a second to a second after its submission, and
its callback is sent once. A flood's job never ends; it gets progress callbacks when `/flood` is
called.
"""

import asyncio
import gc
import json
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from receiver.server.serve import allow_many_connections
from tests.benchmarks.sender import Exchange, Sender, content_length, paced, request
from tests.benchmarks.upstreams import FAL, REPLICATE, SAMSAR, Upstream
from tests.providers.conformance.subjects import PRIVATE_KEY, as_body, jwks

CONNECTIONS = 512
SECONDS_TO_END = 30.0
"""Seconds that a flood waits for its last answers."""
JSON = "Content-Type: application/json\r\n"

Answer = Callable[[bytes], None]


@dataclass
class Plan:
    """The provider's settings, from the next submission on."""

    ports: list[int]
    """The ports that get callbacks, in turn. Of a callback URL only the path counts."""
    answer_after: float = 0.0
    """Seconds that it takes to answer a submission."""
    calls_back: bool = True


@dataclass
class Records:
    """What the provider has seen and done, by the jobs' names."""

    submitted: dict[str, float] = field(default_factory=dict)
    called: dict[str, Exchange] = field(default_factory=dict)
    flooded: dict[str, str] = field(default_factory=dict)
    """The callback path of each job of the flood."""
    status_calls: int = 0
    repeated: int = 0
    """Submissions of a job that had been submitted before."""


class Provider:
    def __init__(self) -> None:
        self._plan = Plan([])
        self._records = Records()
        self._sender = Sender([], 0)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, head: bytes, body: bytes, answer: Answer) -> None:
        """Handle one request, from the service or from the load generator."""
        target = head.split(b" ", 2)[1]
        path, _, query = target.partition(b"?")
        match path:
            case b"/v1/video/create_movie":
                self._submit(SAMSAR, json.loads(body), query, answer)
            case b"/v1/models/bench/life/predictions":
                self._submit(REPLICATE, json.loads(body), query, answer)
            case b"/bench/life":
                self._submit(FAL, json.loads(body), query, answer)
            case b"/v1/video/status":
                self._status(SAMSAR, query.partition(b"=")[2].decode(), answer)
            case _ if path.startswith(b"/v1/predictions/"):
                self._status(REPLICATE, path.rpartition(b"/")[2].decode(), answer)
            case b"/.well-known/jwks.json":
                answer(as_body(jwks(PRIVATE_KEY)))
            case b"/begin":
                self._begin(Plan(**json.loads(body)))
                answer(b"{}")
            case b"/report":
                answer(json.dumps(self._report()).encode())
            case b"/flood":
                task = asyncio.ensure_future(self._flood(answer, **json.loads(body)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                raise AssertionError(target)

    def _begin(self, plan: Plan) -> None:
        self._sender.close()
        self._sender = Sender(plan.ports, CONNECTIONS)
        self._plan = plan
        self._records = Records()
        gc.collect()
        gc.freeze()

    def _submit(
        self, upstream: Upstream, body: dict[str, Any], query: bytes, answer: Answer
    ) -> None:
        job_input, webhook = upstream.submitted(body, query)
        name = job_input["prompt"].replace(" ", "-")
        path = urlsplit(webhook).path
        self._records.repeated += name in self._records.submitted
        self._records.submitted[name] = time.perf_counter()
        accepted = upstream.accepted(name)
        loop = asyncio.get_running_loop()
        if self._plan.answer_after:
            loop.call_later(self._plan.answer_after, answer, accepted)
        else:
            answer(accepted)
        if name.startswith("flood"):
            self._records.flooded[name] = path
        elif self._plan.calls_back:
            spread = int(name.rpartition("-")[2]) * 7919 % 1_000 / 2_000
            pause = 0.5 + spread + self._plan.answer_after
            loop.call_later(pause, self._call, upstream, name, path)

    def _call(self, upstream: Upstream, name: str, path: str) -> None:
        body = upstream.outcome(name)
        headers = upstream.headers(body).items()
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers)
        self._records.called[name] = self._sender.send(request("POST", path, body, lines))

    def _status(self, upstream: Upstream, name: str, answer: Answer) -> None:
        self._records.status_calls += 1
        called = name in self._records.called
        answer(upstream.outcome(name) if called else upstream.at_work(name))

    def _report(self) -> dict[str, Any]:
        records = self._records
        return {
            "submitted": records.submitted,
            "called": {name: each.sent_at for name, each in records.called.items()},
            "callback_statuses": Counter(each.status for each in records.called.values()),
            "status_calls": records.status_calls,
            "repeated": records.repeated,
        }

    async def _flood(self, answer: Answer, *, rate: float, seconds: float) -> None:
        """Send progress callbacks for the flood's jobs in turn; returns when all are answered."""
        jobs = list(self._records.flooded.items())
        flood = _Flood(int(rate * seconds))
        async for number, _ in paced(flood.count, rate):
            name, path = jobs[number % len(jobs)]
            body = _progress(name, 99 * number / flood.count, number // len(jobs))
            self._sender.send(request("POST", path, body, JSON), flood.answered)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_TO_END):
                await flood.over.wait()
        answer(json.dumps(flood.report()).encode())


class _Flood:
    """Counts the results of many callbacks without keeping them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.over = asyncio.Event()
        self._statuses: Counter[int] = Counter()
        self._lags = array("d")
        self._last_sent = 0.0

    def answered(self, exchange: Exchange) -> None:
        self._statuses[exchange.status] += 1
        self._lags.append(time.perf_counter() - exchange.sent_at)
        self._last_sent = max(self._last_sent, exchange.sent_at)
        if self._statuses.total() == self.count:
            self.over.set()

    def report(self) -> dict[str, Any]:
        lags = sorted(self._lags)
        return {
            "count": self.count,
            "statuses": self._statuses,
            "last_sent": self._last_sent,
            "p50": lags[len(lags) // 2],
            "p99": lags[len(lags) * 99 // 100],
        }


def _progress(name: str, share: float, step: int) -> bytes:
    return (
        f'{{"request_id":"{name}","status":"IN_PROGRESS","progress":{share:.2f},'
        f'"message":"step {step}"}}'
    ).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            whole = end + 4 + content_length(head)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._provider.take(head, body, self._answer)

    def _answer(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )


async def _serve(port: int) -> None:
    allow_many_connections()
    provider = Provider()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(provider), "127.0.0.1", port, backlog=1_024
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
