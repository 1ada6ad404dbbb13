"""A cheap provider for the benchmarks, in a process of its own:
`python -m tests.benchmarks.provider PORT`.

It implements Samsar's API as far as the measured services use it. A job's prompt is its name and
its id, `life-N` or `flood-N`. A life is completed half a second to a second after its submission,
and its callback is sent once. A flood's job never ends; it gets progress callbacks when `/flood` is
called.
"""

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvloop

from receiver.server.serve import allow_many_connections
from tests.benchmarks.sender import Exchange, Sender, content_length, paced, request

CONNECTIONS = 512
SECONDS_TO_END = 30.0
"""Seconds that a flood waits for its last answers."""
JSON = "Content-Type: application/json\r\n"

Answer = Callable[[bytes], None]


@dataclass
class Records:
    """What the provider has seen and done, by the jobs' names."""

    submitted: set[str] = field(default_factory=set)
    called: dict[str, Exchange] = field(default_factory=dict)
    flooded: dict[str, str] = field(default_factory=dict)
    """The callback path of each job of the flood."""
    status_calls: int = 0
    repeated: int = 0
    """Submissions of a job that had been submitted before."""

    def report(self) -> dict[str, Any]:
        return {
            "flooded": len(self.flooded),
            "called": {name: each.sent_at for name, each in self.called.items()},
            "callback_statuses": Counter(each.status for each in self.called.values()),
            "status_calls": self.status_calls,
            "repeated": self.repeated,
        }


class Provider:
    def __init__(self) -> None:
        self._records = Records()
        self._sender = Sender(0, 0)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, head: bytes, body: bytes, answer: Answer) -> None:
        """Handle one request, from the service or from the load generator."""
        target = head.split(b" ", 2)[1]
        path, _, query = target.partition(b"?")
        match path:
            case b"/v1/video/create_movie":
                self._submit(json.loads(body), answer)
            case b"/v1/video/status":
                self._records.status_calls += 1
                answer(self._status(query.partition(b"=")[2].decode()))
            case b"/begin":
                self._begin(**json.loads(body))
                answer(b"{}")
            case b"/report":
                answer(json.dumps(self._records.report()).encode())
            case b"/flood":
                task = asyncio.ensure_future(self._flood(answer, **json.loads(body)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                raise AssertionError(target)

    def _begin(self, port: int) -> None:
        """Forget everything; from now on callbacks go to this port, whatever their host."""
        self._sender.close()
        self._sender = Sender(port, CONNECTIONS)
        self._records = Records()
        gc.collect()
        gc.freeze()

    def _submit(self, body: dict[str, Any], answer: Answer) -> None:
        name, path = body["input"]["prompt"], urlsplit(body["webhookUrl"]).path
        self._records.repeated += name in self._records.submitted
        self._records.submitted.add(name)
        answer(b'{"request_id":"%s"}' % name.encode())
        if name.startswith("flood"):
            self._records.flooded[name] = path
        else:
            spread = int(name.rpartition("-")[2]) * 7919 % 1_000 / 2_000
            asyncio.get_running_loop().call_later(0.5 + spread, self._call, name, path)

    def _call(self, name: str, path: str) -> None:
        self._records.called[name] = self._sender.send(request("POST", path, _outcome(name), JSON))

    def _status(self, name: str) -> bytes:
        if name in self._records.called:
            return _outcome(name)
        return b'{"request_id":"%s","status":"IN_PROGRESS"}' % name.encode()

    async def _flood(self, answer: Answer, *, rate: float, seconds: float) -> None:
        """Send progress callbacks for the flood's jobs in turn; answer when all are answered."""
        jobs = list(self._records.flooded.items())
        count, statuses, lags = int(rate * seconds), Counter[int](), list[float]()
        over = asyncio.Event()

        def answered(exchange: Exchange) -> None:
            statuses[exchange.status] += 1
            lags.append(exchange.seconds)
            if len(lags) == count:
                over.set()

        async for number, _ in paced(count, rate):
            name, path = jobs[number % len(jobs)]
            body = _progress(name, 99 * number / count, number // len(jobs))
            self._sender.send(request("POST", path, body, JSON), answered)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_TO_END):
                await over.wait()
        lags.sort()
        answer(json.dumps({"statuses": statuses, "p99": lags[len(lags) * 99 // 100]}).encode())


def _outcome(name: str) -> bytes:
    """A callback's body, and the answer to a status call."""
    link = f"https://cdn.test/{name}.mp4"
    return json.dumps({"request_id": name, "status": "COMPLETED", "videoUrl": link}).encode()


def _progress(name: str, share: float, step: int) -> bytes:
    return (
        f'{{"request_id":"{name}","status":"IN_PROGRESS","progress":{share:.2f},'
        f'"message":"step {step}"}}'
    ).encode()


async def _serve(port: int) -> None:
    allow_many_connections()
    provider = Provider()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def answer(body: bytes) -> None:
            head = f"HTTP/1.1 200 OK\r\n{JSON}Content-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)

        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(content_length(head))
                provider.take(head, body, answer)

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=1_024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
