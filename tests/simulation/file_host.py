"""The host of the provider's files: real HTTP, in bytes, over simulated connections.

The service's whole HTTP client is real: redirects, address checks, resumed downloads, the parser.
"""

import asyncio
import hashlib
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from receiver.archive.download import IDLE_SECONDS
from receiver.http_client.resolver import IPAddress
from tests.simulation.file_fate import MAX_BYTES, FileFate
from tests.simulation.loop import running_loop
from tests.simulation.process import Process, current_process
from tests.simulation.schedule import FaultWindows

if TYPE_CHECKING:
    from tests.simulation.world import World

CONCURRENCY = 4
"""Downloads at once."""
HOST = re.compile(rb"\r\nhost: ([^\r]+)\r\n", re.IGNORECASE)
RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-\r\n", re.IGNORECASE)
IF_RANGE = re.compile(rb"\r\nif-range: ([^\r]+)\r\n", re.IGNORECASE)

Step = tuple[float, bytes | Exception | None]
"""Seconds to wait, and what comes then: bytes, a connection error, or the end (None)."""


class FileHost:
    """One host at one address."""

    def __init__(self, world: "World", address: str) -> None:
        self._world = world
        self._address = address
        self.outages = FaultWindows()
        """The kinds are refused, silent and broken (503)."""
        self.gone: set[str] = set()
        """Links that have answered that they are dead."""
        self._asked: Counter[str] = Counter()
        self._transports: dict[SimulatedTransport, Process | None] = {}
        world.loop.hosts[address] = self._connect

    async def resolve(self, _host: str) -> Sequence[IPAddress]:
        """Replaces DNS."""
        return [ip_address(self._address)]

    @property
    def busy_until(self) -> float | None:
        """The time of the next event on a connection whose client is alive; None if there is no
        such connection."""
        alive = [
            transport.next_at
            for transport, process in self._transports.items()
            if process and not process.dead
        ]
        return min(alive, default=None)

    async def _connect(self, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Transport:
        loop, process = running_loop(), current_process()
        await loop.arrival(self._pause())
        if self.outages.at(loop.time()) == "refused":
            raise ConnectionRefusedError("connection refused")
        transport = SimulatedTransport(factory(), self)
        self._transports[transport] = process
        open_now = sum(each is process for each in self._transports.values())
        self._world.judge.require(open_now <= CONCURRENCY, "downloads are limited", open_now)
        return transport

    def closed(self, transport: "SimulatedTransport") -> None:
        self._transports.pop(transport, None)

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
        self._world.judge.note("file", path, fault or "", head.count(b"bytes=") and "range")
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
                yield from self._respond_with_file(fate, fate.content(after), head, fault)

    def _respond(self, status: int, *headers: tuple[str, str], body: bytes = b"") -> Iterator[Step]:
        yield 0.0, _head(status, [*headers, ("Content-Length", str(len(body)))]) + body
        yield self._pause(), None

    def _respond_with_file(
        self, fate: FileFate, content: bytes, head: bytes, fault: str | None
    ) -> Iterator[Step]:
        if fault == "large":
            content = content.ljust(MAX_BYTES + 1, b"x")
        headers = [] if fate.content_type is None else [("Content-Type", fate.content_type)]
        version = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        match fate.version:
            case "etag":
                headers.append(("ETag", version))
            case "weak":
                headers.append(("ETag", f"W/{version}"))
            case "date":
                headers.append(("Last-Modified", version))
            case None:
                pass
        if fate.digest or fault == "lies":
            digest = b64encode(hashlib.sha256(content).digest()).decode()
            headers.append(("Repr-Digest", f"sha-256=:{digest}:"))
        if fault == "lies" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        status, start, end = 200, 0, len(content)
        wanted, condition = RANGE.search(head), IF_RANGE.search(head)
        fits = condition is None or condition[1].decode() == version or fate.ignores_if_range
        if wanted and fits and fault != "whole" and int(wanted[1]) < len(content):
            status, start = 206, int(wanted[1]) // (2 if fault == "elsewhere" else 1)
            end = min(end, start + fate.most)
            headers.append(("Content-Range", f"bytes {start}-{end - 1}/{len(content)}"))
        body = content[start:end]
        if fate.length or fault == "short":
            headers.append(("Content-Length", str(len(body) + (fault == "short"))))
        yield 0.0, _head(status, headers)
        yield from self._send(body, fault, sized=fate.length)

    def _send(self, body: bytes, fault: str | None, *, sized: bool) -> Iterator[Step]:
        half = self._world.file_random.randint(0, len(body))
        yield self._pause(), body[:half]
        match fault:
            case "cut":
                yield self._pause(), ConnectionResetError("connection reset")
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


class SimulatedTransport(asyncio.Transport):
    """The client's side of one connection."""

    def __init__(self, protocol: asyncio.BaseProtocol, host: FileHost) -> None:
        super().__init__()
        self._protocol = protocol
        self._host = host
        self._head = b""
        self._closing = False
        self.next_at = running_loop().time()
        """The time of the next event: a step of the host, or the client's timeout."""
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._head += bytes(data)
        if self._head.endswith(b"\r\n\r\n"):
            self._schedule_step(self._host.answer(self._head))

    def _schedule_step(self, steps: Iterator[Step]) -> None:
        loop = running_loop()
        step = next(steps, None)
        self.next_at = loop.time() + (IDLE_SECONDS if step is None else step[0])
        if step is not None:
            loop.hop(step[0], self._run_step, step[1], steps)

    def _run_step(self, what: bytes | Exception | None, steps: Iterator[Step]) -> None:
        if self._closing:
            return
        protocol = self._protocol
        assert isinstance(protocol, asyncio.Protocol)
        match what:
            case bytes():
                if what:
                    protocol.data_received(what)
                self._schedule_step(steps)
            case None:
                protocol.eof_received()
                self._close(None)
            case error:
                self._close(error)

    def _close(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._host.closed(self)
            running_loop().call_soon(self._protocol.connection_lost, error)

    # --- what asyncio asks of a transport ---------------------------------------------------------

    def close(self) -> None:
        self._close(None)

    def abort(self) -> None:
        self._close(None)

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        """Does nothing: the responses are small."""

    def resume_reading(self) -> None:
        """Does nothing; see `pause_reading`."""


def _head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()
