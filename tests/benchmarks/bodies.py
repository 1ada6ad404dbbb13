"""How long the largest bodies hold the event loop: `python -m tests.benchmarks.bodies --help`.

Each shape fills a body of `MAX_BODY_BYTES`; if that has too many values, a second body has as many
as are accepted, and a long text. Each goes through the whole service, as a submission, and as the
result in a callback. Meanwhile a task in the event loop looks at the clock each millisecond. The
figures are the status of the answer, and the longest time between two looks.
"""

import argparse
import asyncio
import gc
import itertools
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop

from receiver.cli.serve import SWITCH_SECONDS
from receiver.large_bodies import MAX_VALUES
from receiver.signed_text import Purpose, Signer
from receiver.telemetry import logs
from tests.benchmarks.sender import request
from tests.benchmarks.table import Line, show
from tests.benchmarks.world import SECRET, ready_server
from tests.support.ports import free_port
from tests.support.service import JOB, RunningService, eventually, job_of, running_service

SIZE: Final = 1024 * 1024
WANTED_MS: Final = 50
WHAT: Final = "How long bodies of 1 MiB hold the event loop; a few minutes."
LOOK_SECONDS: Final = 0.001
ROOM: Final = 512
"""Bytes for what surrounds a shape."""

Item = Callable[[int], str]


def same(value: str) -> Item:
    return lambda _: value


def member(name: str, value: str) -> Item:
    return lambda number: f'"{name}{number:x}":{value}'


ITEMS: Final[dict[str, Item]] = {
    "empty lists": same("[]"),
    "empty objects": same("{}"),
    "lists of a list": same("[[]]"),
    "lists of a number": same("[1]"),
    "lists, nested deep": same("[" * 58 + "]" * 58),
    "objects, nested deep": same('{"":' * 58 + "0" + "}" * 58),
    "objects of a list": same('{"":[]}'),
    "empty strings": same('""'),
    "null": same("null"),
    "small integers": same("1"),
    "floats": same("1.5"),
    "floats with exponents": same("1e9"),
    "floats of 17 digits": same("0.12345678901234567"),
    "floats of 700 digits": same("0." + "1234567" * 100),
    "integers of 20 digits": same("9" * 20),
    "integers of 300 digits": same("9" * 300),
    "integers of 1,000 digits": same("9" * 1_000),
    "integers of 4,299 digits": same("9" * 4_299),
    "strings of an escape": same(r'"\u0001"'),
    "strings of a surrogate pair": same(r'"\ud83d\ude00"'),
}
MEMBERS: Final[dict[str, Item]] = {
    "short names": member("", "0"),
    "short names of lists": member("", "[]"),
    "names of 40 characters": member("n" * 40, "0"),
    "names of 1,000 characters": member("n" * 1_000, "0"),
    "names of escapes": member(r"\u0001\u0002", "0"),
    "names of surrogate pairs": member(r"\ud83d\ude00", "0"),
    "one name": same('"":0'),
    "one name of lists": same('"":[]'),
}
TEXTS: Final = {
    "a": "a",
    "commas": ",[{",
    "quotes": r"\"",
    "quotes and commas": r"\",",
    "NULs": r"\u0000",
    "surrogate pairs": r"\ud83d\ude00",
    "characters of two bytes": "\u00e9",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """Members of an object, which fill a body."""

    name: str
    members: str


def shapes() -> Iterator[Shape]:
    for brackets, items in (("[]", ITEMS), ("{}", MEMBERS)):
        for name, item in items.items():
            yield shape(name, brackets, map(item, itertools.count()))
            values = 1 + item(0).count("[") + item(0).count("{")
            fitting = range((MAX_VALUES - 20) // values)
            short = shape(f"{name}, as many as may be", brackets, map(item, fitting))
            if not short.members.endswith('"y":""'):
                yield short
    for name, text in TEXTS.items():
        count = (SIZE - ROOM) // len(text.encode())
        yield Shape(f"a text of {name}", f'"x":"{text * count}"')


def shape(name: str, brackets: str, items: Iterable[str]) -> Shape:
    """As many of these items as fit, and a text in the place of the rest."""
    taken, left = list[str](), SIZE - ROOM
    for item in items:
        left -= len(item) + 1
        if left < 0:
            break
        taken.append(item)
    rest = "" if left < 0 else "a" * left
    return Shape(name, f'"x":{brackets[0]}{",".join(taken)}{brackets[1]},"y":"{rest}"')


# --- measuring ------------------------------------------------------------------------------------


@dataclass
class Watch:
    """What happens in the event loop while the block runs."""

    held: float = 0.0
    """Seconds, the longest."""
    collected: float = 0.0
    """Seconds of the longest garbage collection."""
    _began: float = field(default=0.0, repr=False)

    def note_collection(self, phase: str, _: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "stop":
            self.collected = max(self.collected, now - self._began)
        self._began = now

    async def look(self) -> None:
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(LOOK_SECONDS)
            # Without the time in which only other processes of this machine were at work.
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            self.held = max(self.held, min(wall, cpu))


@contextmanager
def watching() -> Iterator[Watch]:
    watch = Watch()
    gc.callbacks.append(watch.note_collection)
    looking = asyncio.ensure_future(watch.look())
    try:
        yield watch
    finally:
        looking.cancel()
        gc.callbacks.remove(watch.note_collection)


def answer_of(port: int, raw: bytes) -> tuple[int, bytes]:
    """Send a request and wait for its answer, in a thread: there it takes little of the loop."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(raw)
        with connection.makefile("rb") as answer:
            status, length = int(answer.readline().split()[1]), 0
            while (line := answer.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            return status, answer.read(length)


@dataclass
class Bench:
    service: RunningService
    client: httpx.AsyncClient
    key: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def ask(self, path: str, body: str, headers: str = "") -> tuple[int, bytes]:
        raw = request("POST", path, body.encode(), headers)
        assert len(body.encode()) <= SIZE
        port = int(self.service.url.rpartition(":")[2])
        return await asyncio.to_thread(answer_of, port, raw)

    async def submit(self, members: str = "") -> tuple[int, str, str]:
        """Submit a job; the status, its id, and the provider's. It is accepted on return."""
        number = next(self._numbers)
        given = JOB | {"input": JOB["input"] | {"prompt": f"flood-{number}"}}
        body = json.dumps(given)
        if members:
            body = f"{body[:-2]},{members}}}}}"
        headers = f"API-KEY: {self.key}\r\nIdempotency-Key: bench-{number}\r\n"
        status, answer = await self.ask("/v1/jobs", body, headers)
        if status != 202:
            return status, "", ""
        request_id = json.loads(answer)["request_id"]

        async def look() -> Any:
            return (await job_of(self.client, request_id))["provider_request_id"]

        return status, request_id, await eventually(look, bool, "the provider's id")

    async def submission(self, shape: Shape) -> tuple[int, Watch]:
        with watching() as watch:
            status, _, _ = await self.submit(shape.members)
        return status, watch

    async def callback(self, shape: Shape) -> tuple[int, Watch]:
        _, request_id, named = await self.submit()
        signed = Signer([SECRET]).sign(Purpose.CALLBACK, f"samsar/{request_id}")
        head = json.dumps({"request_id": named, "status": "COMPLETED"})[:-1]
        body = f'{head},"result":{{"videoUrl":"https://cdn.test/a.mp4",{shape.members}}}}}'
        with watching() as watch:
            status, _ = await self.ask(f"/webhooks/{signed}", body)
            await asyncio.sleep(0.05)  # what follows the answer
        return status, watch


async def measure(rounds: int, words: str) -> None:
    with ready_server("provider") as provider, tempfile.TemporaryDirectory() as folder:
        # Its callbacks would go to this port; the jobs here get none.
        begin = request("POST", "/begin", json.dumps({"port": free_port()}).encode())
        await asyncio.to_thread(answer_of, provider.port, begin)
        settings: dict[str, Any] = {
            "provider": "samsar",
            "samsar_api_key": "none",
            "samsar_base_url": f"http://127.0.0.1:{provider.port}/v1/video/",
            "secret_keys": SECRET,
            "poll_first": 3_600,
            "poll_max": 3_600,
            "user_storage": "",
        }
        async with running_service(Path(folder), **settings) as service:
            key = await service.key()
            bench = Bench(service, service.client(key), key)
            sys.setswitchinterval(SWITCH_SECONDS)  # all this as `receiver serve` does
            gc.collect()
            gc.freeze()
            for shape in shapes():
                if words in shape.name:
                    submissions = [await bench.submission(shape) for _ in range(rounds)]
                    callbacks = [await bench.callback(shape) for _ in range(rounds)]
                    show([line(shape, "submission", submissions)])
                    show([line(shape, "callback", callbacks)])


def line(shape: Shape, what: str, seen: Sequence[tuple[int, Watch]]) -> Line:
    """The best of these requests counts: other processes of the machine disturb it least."""
    status, best = min(seen, key=lambda each: each[1].held)
    worst = max(watch.held for _, watch in seen)
    return Line(
        f"{shape.name}: {what}",
        f"{status} {best.held * 1_000:.0f} to {worst * 1_000:.0f} ms",
        f"at most {WANTED_MS} ms",
        f"collections: {best.collected * 1_000:.0f} ms",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=WHAT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", default="", help="only shapes whose name contains this")
    arguments = parser.parse_args()
    logs.configure("json", "critical", sys.stderr)
    uvloop.run(measure(arguments.rounds, arguments.shape))
