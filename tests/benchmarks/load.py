"""A load generator that is light enough not to be what is measured: raw HTTP/1.1, to be run on
uvloop.

Each connection sends a request, waits for the whole answer, and sends the next. Answers have to
carry a Content-Length.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast


@dataclass
class Result:
    """What a round gave."""

    seconds: float
    latencies: list[float] = field(repr=False)
    statuses: dict[int, int]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """A latency in seconds; `share` of all are not above it."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """One request as it goes over the wire."""
    length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{length}{headers}\r\n".encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, next_request: Callable[[], bytes], until: float, result: Result) -> None:
        self._next_request = next_request
        self._until = until
        self._result = result
        self._buffer = b""
        self._sent_at = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        if len(body) < int(lower[at:].partition(b"\r\n")[0]):
            return
        self._buffer = b""
        now = time.perf_counter()
        self._result.latencies.append(now - self._sent_at)
        status = int(head[9:12])
        self._result.statuses[status] = self._result.statuses.get(status, 0) + 1
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._next_request())


async def blast(
    port: int, next_request: Callable[[], bytes], connections: int, seconds: float
) -> Result:
    """Keep so many connections busy for so long."""
    result = Result(seconds, [], {})
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda: _Connection(next_request, began + seconds, result), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.closed for _, protocol in opened))
    result.seconds = time.perf_counter() - began
    return result
