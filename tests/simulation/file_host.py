"""The host of the provider's files: real HTTP, in bytes, over simulated connections.

Below its addresses the network is simulated; the service's whole HTTP client is real: redirects,
address checks, the pool, the parser.
"""

import asyncio
import hashlib
import re
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

import httpcore

from receiver.archive.download import IDLE_SECONDS
from receiver.net.resolver import IPAddress
from tests.simulation.file_fate import MAX_BYTES, FileFate
from tests.simulation.loop import running_loop
from tests.simulation.process import Process, current_process
from tests.simulation.schedule import FaultWindows

if TYPE_CHECKING:
    from tests.simulation.world import World

CONCURRENCY = 4
"""Downloads at once."""
HOST = re.compile(rb"\r\nhost: ([^\r]+)\r\n", re.IGNORECASE)

Step = tuple[float, bytes | Exception | None]
"""Seconds to wait, and what comes then: bytes, a connection error, or the end (None)."""


class FileHost(httpcore.AsyncNetworkBackend):
    """One host at one address, and the network to it."""

    def __init__(self, world: "World", address: str) -> None:
        self._world = world
        self._address = address
        self.outages = FaultWindows()
        """The kinds are refused, silent and broken (503)."""
        self.gone: set[str] = set()
        """Links that have answered that they are dead."""
        self._asked: Counter[str] = Counter()
        self._connections: dict[SimulatedConnection, Process | None] = {}

    async def resolve(self, _host: str) -> Sequence[IPAddress]:
        """Replaces DNS."""
        return [ip_address(self._address)]

    @property
    def busy_until(self) -> float | None:
        """The time of the next event on a connection whose client is alive; None if there is no
        such connection."""
        alive = [
            connection.next_at
            for connection, process in self._connections.items()
            if process and not process.dead
        ]
        return min(alive, default=None)

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *_: object, **__: object
    ) -> "SimulatedConnection":
        loop, process = running_loop(), current_process()
        assert (host, port) == (self._address, 80)
        await loop.arrival(self._pause())
        if self.outages.at(loop.time()) == "refused":
            raise httpcore.ConnectError("connection refused")
        connection = SimulatedConnection(self)
        self._connections[connection] = process
        open_now = sum(each is process for each in self._connections.values())
        self._world.judge.require(open_now <= CONCURRENCY, "downloads are limited", open_now)
        return connection

    def closed(self, connection: "SimulatedConnection") -> None:
        self._connections.pop(connection, None)

    def _pause(self) -> float:
        return self._world.file_random.choice([0.001, 0.02, 0.3])

    # --- its answers ------------------------------------------------------------------------------

    def answer(self, head: bytes) -> Iterator[Step]:
        """The steps that follow a request on a connection."""
        path = head.split(b" ", 2)[1].decode()
        name = HOST.search(head)
        assert name is not None
        link = f"http://{name[1].decode()}{path.removesuffix('?moved')}"
        fate, after = self._world.files.check_request(link)
        outage = self.outages.at(running_loop().time())
        fault = {"silent": "silent", "broken": "busy"}.get(outage or "")
        if fate is None or after >= fate.link_life:
            fault = fault or "gone"
        elif fault is None and not path.endswith("?moved"):
            number = self._asked[link]
            self._asked[link] += 1
            rest = fate.faults[number : number + 1]
            fault = rest[0] if rest else fate.permanent_fault
        self._world.judge.note("file", path, fault or "")
        yield self._pause(), b""
        match fault:
            case "silent":
                return
            case "gone":
                self.gone.add(link)
                yield from self._respond(404 if fate is None else fate.gone)
            case "busy" | "forbidden":
                yield from self._respond(503 if fault == "busy" else 403)
            case "moved" | "lost" | "private":
                place = {"moved": f"{path}?moved", "lost": path, "private": "http://10.0.0.1/"}
                yield from self._respond(302, ("Location", place[fault]))
            case _:
                assert fate is not None
                yield from self._respond_with_file(fate, fate.content(after), fault)

    def _respond(self, status: int, *headers: tuple[str, str], body: bytes = b"") -> Iterator[Step]:
        yield 0.0, _head(status, [*headers, ("Content-Length", str(len(body)))]) + body
        yield self._pause(), None

    def _respond_with_file(
        self, fate: FileFate, content: bytes, fault: str | None
    ) -> Iterator[Step]:
        if fault == "large":
            content = content.ljust(MAX_BYTES + 1, b"x")
        headers = [] if fate.content_type is None else [("Content-Type", fate.content_type)]
        if fate.digest or fault == "lies":
            digest = b64encode(hashlib.sha256(content).digest()).decode()
            headers.append(("Repr-Digest", f"sha-256=:{digest}:"))
        if fault == "lies" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if fate.length or fault == "short":
            headers.append(("Content-Length", str(len(content) + (fault == "short"))))
        yield 0.0, _head(200, headers)
        yield from self._send(content, fault, sized=fate.length)

    def _send(self, body: bytes, fault: str | None, *, sized: bool) -> Iterator[Step]:
        half = self._world.file_random.randint(0, len(body))
        yield self._pause(), body[:half]
        match fault:
            case "cut":
                yield self._pause(), httpcore.ReadError("connection reset")
            case "ended" if sized and half < len(body):
                yield self._pause(), None
            case "stops":
                return
            case "trickles":
                for place in range(half, len(body)):
                    yield IDLE_SECONDS - 2.0, body[place : place + 1]
                    if place > half + 40:
                        return
                yield self._pause(), None
            case _:
                yield self._pause(), body[half:]
                yield self._pause(), None


class SimulatedConnection(httpcore.AsyncNetworkStream):
    """The client's side of one connection."""

    def __init__(self, host: FileHost) -> None:
        self._host = host
        self._head = b""
        self._came: deque[bytes | Exception] = deque()
        """What was not read yet; empty bytes are the end."""
        self._news = asyncio.Event()
        self._is_closed = False
        self.next_at = running_loop().time()
        """The time of the next event: a step of the host, or the client's timeout."""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._head += buffer
        if buffer and self._head.endswith(b"\r\n\r\n"):
            self._schedule_step(self._host.answer(self._head))

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                while not self._came:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise httpcore.ReadTimeout("nothing came") from None
        what = self._came.popleft()
        if isinstance(what, Exception):
            raise what
        if len(what) > max_bytes or not what:
            self._came.appendleft(what[max_bytes:])
        return what[:max_bytes]

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._host.closed(self)

    def get_extra_info(self, info: str) -> None:
        """It has neither TLS nor a socket."""

    def _schedule_step(self, steps: Iterator[Step]) -> None:
        loop = running_loop()
        step = next(steps, None)
        self.next_at = loop.time() + (IDLE_SECONDS if step is None else step[0])
        if step is not None:
            loop.hop(step[0], self._run_step, step[1], steps)

    def _run_step(self, what: bytes | Exception | None, steps: Iterator[Step]) -> None:
        if self._is_closed:
            return
        if what != b"":
            self._came.append(b"" if what is None else what)
            self._news.set()
        if isinstance(what, bytes):
            self._schedule_step(steps)


def _head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()
