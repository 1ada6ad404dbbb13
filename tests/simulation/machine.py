"""A machine: it boots processes of the service from the database, and kills them at any moment."""

import asyncio
import ssl
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from receiver.app import Service, assemble, rules
from receiver.archive.download import Downloader
from receiver.archive.folder import FolderArchive
from receiver.config.environment import load
from receiver.engine.context import ServiceContext
from receiver.engine.recover import recover
from receiver.engine.status_calls import StatusCalls
from receiver.providers.registry import Providers
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.telemetry.metrics import Metrics
from receiver.webhooks.network import CheckedNetwork
from store.errors import StoreUnavailable
from store.ids import Ids
from store.records.times import Millis
from store.sqlite.database import SqliteStore
from tests.simulation.archive import RETENTION_DAYS
from tests.simulation.callbacks import PUBLIC_URL
from tests.simulation.client import Exchange, NoAnswer, Response, scope
from tests.simulation.disk import CrashPoint, InlineReadPool, InlineWriter
from tests.simulation.file_fate import MAX_BYTES
from tests.simulation.loop import VirtualLoop, running_loop
from tests.simulation.money import PRICES
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

EPOCH: Millis = 1_767_225_600_000
"""What every clock shows when the simulation begins."""


STOP_SECONDS = 10.0
"""Seconds that a process has to exit after SIGTERM."""
KEYS = ["simulation-" * 4]
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing is encrypted here; the default context would be loaded from a file for each process."""


class WallClock:
    """`receiver.clock.Clock` on virtual time; the wall clock can be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.ahead: Millis = 0

    def now(self) -> Millis:
        return EPOCH + self.ahead + int(self._loop.time() * 1_000)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @property
    def seconds(self) -> float:
        """The wall clock in seconds, for the times of files."""
        return self.now() / 1_000

    def at(self, moment: Millis) -> float:
        """The loop time at which the wall clock shows this moment."""
        return (moment - EPOCH - self.ahead) / 1_000


class ExactClock(WallClock):
    """The clock of downloads: no skip passes their pauses."""

    async def sleep(self, seconds: float) -> None:
        await running_loop().exact_sleep(seconds)


class Machine:
    """A machine, which runs one process of the service after another."""

    def __init__(self, world: "World", name: str) -> None:
        self.name = name
        self.service: Service | None = None
        self.stopping = False
        self._world = world
        self.places = world.schedule.places
        """The limit of its present process."""
        self._next_places = self.places
        self._process: Process | None = None
        self._boots = 0
        self._crash_point = CrashPoint()
        self._exchanges: dict[Exchange, None] = {}
        self._abandon: list[Callable[[], None]] = []

    # --- its life ---------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start a process on the present database."""
        if self._process is not None:
            return
        self._boots += 1
        self.places = self._next_places
        self._settings = _settings(confirms=self._world.schedule.confirm, places=self.places)
        loop = running_loop()
        self._process = process = loop.new_process(f"{self.name}.{self._boots}")
        disk = self._world.file_disk
        process.pause, process.after_thread = disk.pause, disk.date_files
        self._world.judge.note("boot", process.name)
        self._crash_point = CrashPoint()
        loop.begin(process, self._start(process))

    async def _start(self, process: Process) -> None:
        world, random = self._world, self._world.random
        writer = InlineWriter(world.disk, self._crash_point, random)
        reads = InlineReadPool(world.disk, random)
        self._abandon = [writer.abandon, reads.abandon]
        store = SqliteStore(world.disk.path, writer, reads, random.randbytes)
        store.exclusive = world.schedule.machines == 1
        metrics, providers = Metrics(version("job-receiver")), Providers(self._settings)
        services = ServiceContext(
            store=store,
            holder=process.name,
            clock=world.clock,
            ids=Ids(random.randbytes),
            rules=rules(self._settings, providers, {world.provider.name: world.provider}),
            providers={world.provider.name: world.provider},
            known_kinds={world.provider.name: world.provider.check_kind},
            metrics=metrics,
            status_calls=StatusCalls(
                world.clock, metrics, self._settings.poll_rate, self._settings.poll_concurrency
            ),
            prices=PRICES,
        )
        network = CheckedNetwork(
            world.file_host.resolve, allow_http=True, tls=NO_TLS, tcp=world.file_host
        )
        downloader = Downloader(network, MAX_BYTES)
        archiving = FolderArchive(world.file_disk.root), downloader
        service = assemble(
            self._settings, providers, services, KEYS, world.sender, random, archiving
        )
        try:
            await recover(services)
        except StoreUnavailable:
            self.die(down=5.0)  # the process exits with a message, and its supervisor restarts it
            return
        service.start()
        self.service = service

    def runs(self, process: Process) -> bool:
        """Whether the process is this machine's, the present one or an earlier one."""
        return process.name.startswith(f"{self.name}.")

    def crash_at(self, where: str, count: int, down: float) -> None:
        """Kill the process after `count` more callbacks of the loop (`where` is `step`), or just
        before or after a commit, once `count` others have come."""
        loop = running_loop()
        process = self._process
        if process is None:
            return

        def die() -> None:
            if process is self._process:
                self.die(down)

        if where == "step":
            step = loop.steps + 1 + count
            while step in loop.at_step:
                step += 1
            loop.at_step[step] = die
        else:
            self._crash_point.crash = die
            self._crash_point.before = where == "before_commit"
            self._crash_point.at_commit = count

    def die(self, down: float) -> None:
        """Kill the process; another one starts after `down` seconds."""
        loop = running_loop()
        process, self._process = self._process, None
        if process is None:
            return
        self._world.judge.note("death", process.name)
        process.dead = True
        self.service = None
        self.stopping = False
        self.close()
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges:
            exchange.reset()
        loop.call_later(down, self.boot, context=loop.world_context)

    def close(self) -> None:
        """Close the process's connections to the database, as the system does when it dies."""
        for abandon in self._abandon:
            abandon()
        self._abandon = []

    def cancel_crash(self) -> None:
        """Cancel all planned deaths."""
        self._crash_point.at_commit = None

    def stall(self, lasts: float) -> None:
        """Let nothing of the process run for this many seconds."""
        if self._process is not None:
            until = running_loop().time() + lasts
            self._process.stalled_until = max(self._process.stalled_until, until)

    @property
    def at_rest(self) -> bool:
        """Whether the service runs and is not stalled."""
        process = self._process
        return (
            self.service is not None
            and process is not None
            and (process.stalled_until <= running_loop().time())
        )

    def set_places(self, places: int) -> None:
        """Change the limit for its next process."""
        self._next_places = places

    def stop(self, down: float) -> None:
        """Send SIGTERM: the process exits cleanly, and another starts after `down` seconds."""
        if self._process is not None and self.service is not None:
            running_loop().begin(self._process, self._stop(self.service, down))

    async def _stop(self, service: Service, down: float) -> None:
        loop, process = running_loop(), self._process
        began = loop.time()
        self.stopping = True
        service.begin_stop()
        try:
            await service.stop()
        except Exception as error:  # noqa: BLE001 - whatever it is, it would be the exit status
            self._world.judge.fail("SIGTERM ends it cleanly", repr(error))
        await service.context.services.store.close()
        stalled = process is not None and process.stalled_until > began
        self._world.judge.require(stalled or loop.time() - began <= STOP_SECONDS,
                            "SIGTERM ends it within ten seconds", loop.time() - began)  # fmt: skip
        self.die(down)

    # --- its callers ------------------------------------------------------------------------------

    async def call(
        self, method: str, target: str, headers: dict[str, str], body: bytes, timeout: float
    ) -> Response:
        """Make one request. Raises `NoAnswer`, also after `timeout` seconds."""
        exchange = Exchange(body)
        self._begin(exchange, method, target, headers)
        loop = running_loop()
        loop.call_later(timeout, exchange.hang_up, context=loop.world_context)
        await exchange.ended
        return Response(exchange.status, exchange.headers, bytes(exchange.body))

    def stream(
        self, target: str, headers: dict[str, str], on_chunk: Callable[[bytes], None]
    ) -> Exchange:
        """Open a stream. Raises `NoAnswer` if the service does not run."""
        exchange = Exchange(b"", on_chunk)
        self._begin(exchange, "GET", target, headers)
        return exchange

    def _begin(self, exchange: Exchange, method: str, target: str, headers: dict[str, str]) -> None:
        if self.service is None or self._process is None:
            raise NoAnswer("connection refused")
        self._exchanges[exchange] = None
        loop = running_loop()
        request = scope(method, target, headers)
        task = loop.spawn(self._process, _serve(self.service.app, exchange, request))

        def over(_: "asyncio.Task[None]") -> None:
            self._exchanges.pop(exchange, None)
            exchange.reset()

        task.add_done_callback(over, context=loop.world_context)


@cache
def _settings(*, confirms: bool, places: int | None) -> ServiceSettings:
    """The defaults, except for what the schedule decides, the provider, the addresses, the archive,
    and the rate limit, which is off."""
    return load(
        with_providers(ServiceSettings),
        provider="samsar",
        samsar_api_key="key",
        public_url=PUBLIC_URL,
        rate_limit="",
        confirm_callbacks=confirms,
        jobs_in_flight={} if places is None else {"samsar": places},
        archive_url="file:///archive",  # only says that there is one: `_start` passes it in
        archive_max_bytes=MAX_BYTES,
        relay_allow_http=True,
        retention_days=RETENTION_DAYS,
    )


async def _serve(app: ASGIApp, exchange: Exchange, request: dict[str, Any]) -> None:
    await app(request, exchange.receive, exchange.send)
