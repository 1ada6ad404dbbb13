"""Load generators: one waits for each answer, the other does not."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import uvloop

from receiver.server.serve import allow_many_connections
from tests.benchmarks.sender import Exchange, Sender, paced


@dataclass
class Result:
    """The result of one round."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list, repr=False)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


async def closed_loop(
    port: int, next_request: Callable[[], bytes], connections: int, seconds: float
) -> Result:
    """Keep this many connections busy for this many seconds: each sends its next request when it
    has the answer to the previous one."""
    result, over = Result(), asyncio.Event()
    sender = Sender(port, connections)
    began = time.perf_counter()
    busy = connections

    def answered(exchange: Exchange) -> None:
        nonlocal busy
        result.latencies.append(exchange.seconds)
        result.statuses[exchange.status] += 1
        if exchange.answered_at < began + seconds:
            sender.send(next_request(), answered)
            return
        busy -= 1
        if not busy:
            over.set()

    for _ in range(connections):
        sender.send(next_request(), answered)
    await over.wait()
    result.seconds = time.perf_counter() - began
    sender.close()
    return result


def open_loop(
    port: int, requests: Sequence[bytes], rate: float, connections: int, timeout: float
) -> list[Exchange]:
    """Send each request when it is due, however many are still unanswered, as the clients of an
    overloaded service do. Returns the exchanges in order; the last answers may take `timeout`
    seconds. Meant for a process of its own, so that the measuring process does not slow it down."""
    allow_many_connections()
    return uvloop.run(_open_loop(Sender(port, connections), requests, rate, timeout))


async def _open_loop(
    sender: Sender, requests: Sequence[bytes], rate: float, timeout: float
) -> list[Exchange]:
    exchanges: list[Exchange] = []
    over = asyncio.Event()
    unanswered = len(requests)

    def answered(_: Exchange) -> None:
        nonlocal unanswered
        unanswered -= 1
        if not unanswered:
            over.set()

    # Requests that are still unanswered have the status 0.
    with suppress(TimeoutError):
        async with asyncio.timeout(len(requests) / rate + timeout):
            async for number, due_at in paced(len(requests), rate):
                exchanges.append(sender.send(requests[number], answered, due_at))
            await over.wait()
    sender.close()
    for exchange in exchanges:
        exchange.answered = None  # a local function cannot be pickled
    return exchanges
