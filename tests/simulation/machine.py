"""One process of the service: booted from the database alone, and killed at any moment."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from random import Random
from typing import Any

from starlette.types import ASGIApp

from receiver.actions.context import ServiceContext
from receiver.actions.recover import recover
from receiver.actions.status_calls import StatusCalls
from receiver.archive.contract import Archive
from receiver.archive.download import Downloader
from receiver.assembly import Service, assemble, rules
from receiver.metrics import Metrics
from receiver.settings import ServeSettings
from receiver.webhooks.delivery import WebhookSender
from store.errors import StoreUnavailable
from store.ids import Ids
from store.records import Millis
from store.sqlite.database import SqliteStore
from tests.simulation.client import Exchange, NoAnswer, Response, scope
from tests.simulation.disk import Disk, Doom, InlineReaders, InlineWriter
from tests.simulation.file_disk import FileDisk
from tests.simulation.judge import Judge
from tests.simulation.loop import Life, VirtualLoop, loop_of_world, settle
from tests.simulation.provider import SimulatedProvider

EPOCH: Millis = 1_767_225_600_000
"""When the simulation begins, on every clock."""


STOP_SECONDS = 10.0
"""What a process gets to end after SIGTERM (contract 11)."""


class WallClock:
    """`receiver.clock.Clock` on virtual time; the wall's hands can be moved."""

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
        """What the wall shows, as files are dated."""
        return self.now() / 1_000

    def at(self, moment: Millis) -> float:
        """The loop time at which the wall shows a moment."""
        return (moment - EPOCH - self.ahead) / 1_000


class FirmClock(WallClock):
    """The same, of downloads: nothing is skipped over their pauses."""

    async def sleep(self, seconds: float) -> None:
        loop = loop_of_world()
        over = loop.create_future()
        loop.hop(seconds, settle, over)
        await over


class Machine:
    """A place where the service runs, again and again."""

    def __init__(
        self,
        name: str,
        *,
        settings: ServeSettings,
        disk: Disk,
        clock: WallClock,
        provider: SimulatedProvider,
        sender: WebhookSender,
        keys: list[str],
        judge: Judge,
        random: Random,
        archiving: tuple[Archive, Downloader],
        file_disk: FileDisk,
        alone: bool,
    ) -> None:
        """`alone` where no other process runs jobs on the database."""
        self.name = name
        self.requests = 0
        """Requests under way that are no streams."""
        self.service: Service | None = None
        self.stopping = False
        self._settings = settings
        self._disk = disk
        self._clock = clock
        self._provider = provider
        self._sender = sender
        self._keys = keys
        self._judge = judge
        self._random = random
        self._archiving = archiving
        self._file_disk = file_disk
        self._alone = alone
        self._life: Life | None = None
        self._boots = 0
        self._doom = Doom()
        self._exchanges: dict[Exchange, None] = {}
        self._abandon: list[Callable[[], None]] = []

    # --- its life ---------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start a process on what the database holds."""
        if self._life is not None:
            return
        self._boots += 1
        loop = loop_of_world()
        self._life = life = loop.new_life(f"{self.name}.{self._boots}")
        life.pause, life.after_thread = self._file_disk.pause, self._file_disk.date_files
        self._judge.note("boot", life.name)
        self._doom = Doom()
        loop.begin(life, self._start(life))

    async def _start(self, life: Life) -> None:
        writer = InlineWriter(self._disk, self._doom, self._random)
        readers = InlineReaders(self._disk, self._random)
        self._abandon = [writer.abandon, readers.abandon]
        store = SqliteStore(self._disk.path, writer, readers, self._random.randbytes)
        store.exclusive = self._alone
        metrics = Metrics(version("job-receiver"))
        services = ServiceContext(
            store=store,
            holder=life.name,
            clock=self._clock,
            ids=Ids(self._random.randbytes),
            rules=rules(self._settings),
            providers={self._provider.name: self._provider},
            metrics=metrics,
            status_calls=StatusCalls(
                self._clock, metrics, self._settings.poll_rate, self._settings.poll_concurrency
            ),
        )
        service = assemble(
            self._settings, services, self._keys, self._sender, self._random, self._archiving
        )
        try:
            await recover(services)
        except StoreUnavailable:
            self.die(down=5.0)  # it exits, in words, and whoever keeps it running tries again
            return
        service.supervisor.start()
        self.service = service

    def runs(self, name: str) -> bool:
        """Whether the life with this name is its own, now or before."""
        return name.startswith(f"{self.name}.")

    def crash_at(self, where: str, count: int, down: float) -> None:
        """Kill it so many callbacks from now, or at its commit after so many more."""
        loop = loop_of_world()
        life = self._life
        if life is None:
            return

        def die() -> None:
            if life is self._life:
                self.die(down)

        if where == "step":
            step = loop.steps + 1 + count
            while step in loop.at_step:
                step += 1
            loop.at_step[step] = die
        else:
            self._doom.strike = die
            self._doom.before = where == "before_commit"
            self._doom.at_commit = count

    def die(self, down: float) -> None:
        """End its process; another one starts after `down` seconds."""
        loop = loop_of_world()
        life, self._life = self._life, None
        if life is None:
            return
        self._judge.note("death", life.name)
        life.dead = True
        self.service = None
        self.stopping = False
        for abandon in self._abandon:
            abandon()
        self._abandon = []
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges:
            exchange.reset()
        self.requests = 0
        loop.call_later(down, self.boot, context=loop.world)

    def spare(self) -> None:
        """Forget every death that was planned."""
        self._doom.at_commit = None

    def stall(self, lasts: float) -> None:
        """Let nothing of it run for so many seconds."""
        if self._life is not None:
            until = loop_of_world().time() + lasts
            self._life.stalled_until = max(self._life.stalled_until, until)

    @property
    def at_rest(self) -> bool:
        """Whether it runs, and is not stalled."""
        life = self._life
        return (
            self.service is not None
            and life is not None
            and (life.stalled_until <= loop_of_world().time())
        )

    def stop(self, down: float) -> None:
        """SIGTERM: end cleanly, and start again after `down` seconds."""
        if self._life is not None and self.service is not None:
            loop_of_world().begin(self._life, self._stop(self.service, down))

    async def _stop(self, service: Service, down: float) -> None:
        loop, life = loop_of_world(), self._life
        began = loop.time()
        self.stopping = True
        service.begin_stop()
        try:
            await service.stopped()
        except Exception as error:  # noqa: BLE001 - whatever it is, it would be the exit status
            self._judge.fail("SIGTERM ends it cleanly", repr(error))
        await service.context.services.store.close()
        stalled = life is not None and life.stalled_until > began
        self._judge.require(stalled or loop.time() - began <= STOP_SECONDS,
                            "SIGTERM ends it within ten seconds", loop.time() - began)  # fmt: skip
        self.die(down)

    # --- its callers ------------------------------------------------------------------------------

    async def call(
        self, method: str, target: str, headers: dict[str, str], body: bytes, patience: float
    ) -> Response:
        """One request. Raises `NoAnswer`, also when `patience` seconds are over."""
        exchange = Exchange(body)
        self._begin(exchange, method, target, headers)
        loop = loop_of_world()
        loop.call_later(patience, exchange.hang_up, context=loop.world)
        self.requests += 1
        life = self._life
        try:
            await exchange.ended
        finally:
            if life is self._life:
                self.requests -= 1
        return Response(exchange.status, exchange.headers, bytes(exchange.body))

    def stream(
        self, target: str, headers: dict[str, str], on_chunk: Callable[[bytes], None]
    ) -> Exchange:
        """Open a stream. Raises `NoAnswer` where nobody listens."""
        exchange = Exchange(b"", on_chunk)
        self._begin(exchange, "GET", target, headers)
        return exchange

    def _begin(self, exchange: Exchange, method: str, target: str, headers: dict[str, str]) -> None:
        if self.service is None or self._life is None:
            raise NoAnswer("connection refused")
        self._exchanges[exchange] = None
        loop = loop_of_world()
        task = loop.spawn(
            self._life, _serve(self.service.app, exchange, scope(method, target, headers))
        )

        def over(_: "asyncio.Task[None]") -> None:
            self._exchanges.pop(exchange, None)
            exchange.reset()

        task.add_done_callback(over, context=loop.world)


async def _serve(app: ASGIApp, exchange: Exchange, request: dict[str, Any]) -> None:
    await app(request, exchange.receive, exchange.send)
