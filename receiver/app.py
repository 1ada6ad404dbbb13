"""The composition root: builds every part, gives each what it needs, and runs them together.

Nothing else in the service knows which store, which provider or which server there is.
"""

import asyncio
import gc
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import structlog
from starlette.types import ASGIApp

from receiver.actions.core import Core
from receiver.actions.recover import recover
from receiver.clock import Clock, SystemClock
from receiver.dashboard.pages import pages
from receiver.domain.schedule import Rules
from receiver.http_api.auth import Authenticator
from receiver.http_api.cursors import Cursors
from receiver.http_api.front_door import FrontDoor
from receiver.http_api.limits import RateLimit
from receiver.http_api.parts import Credential, Endpoint, Parts
from receiver.http_api.row import Row
from receiver.http_api.sessions import Sessions
from receiver.http_api.spared import REFUSED, is_spared
from receiver.http_api.table import TABLE
from receiver.http_connection import allow_many_connections
from receiver.http_server import listen, origin, serving
from receiver.http_turnstile import Turnstile
from receiver.metrics import Metrics
from receiver.providers.registry import Surroundings, open_provider
from receiver.providers.samsar_input import InputRules
from receiver.sandbox.app import API_PATH
from receiver.sandbox.rules import SandboxRules
from receiver.sandbox.run import sandbox
from receiver.secret_file import load_or_create
from receiver.settings import SandboxSettings, ServeSettings, is_this_machine
from receiver.streams.broadcast import Broadcast
from receiver.streams.hub import Hub
from receiver.streams.tickets import Tickets
from receiver.webhooks.delivery import Courier
from receiver.webhooks.resolver import Resolver
from receiver.webhooks.tokens import CallbackTokens
from receiver.workers.deadlines import Deadlines
from receiver.workers.inbox import Inbox
from receiver.workers.janitor import Janitor
from receiver.workers.poller import Poller
from receiver.workers.relay import Relay
from receiver.workers.submitter import CallbackAddresses, Submitter
from receiver.workers.supervisor import Supervisor
from receiver.workers.worker import Worker
from store.contract import Store
from store.ids import Ids
from store.open import open_store
from store.records import Job, Millis

SWITCH_SECONDS = 0.001
"""How long the event loop may keep the interpreter while the store's thread waits for it, which it
does after each call of SQLite. Python's own 5 ms are most of a small batch."""

SAFETY_SECONDS = 1.0
"""How often the store is asked whether another process has written."""
STOP_SECONDS = 8.0
"""What requests get to end at shutdown; then their connections are cut."""
DAY: Millis = 24 * 3600 * 1000

log = structlog.get_logger()


@dataclass(slots=True)
class Service:
    """A service that runs: its application, and how it is brought to an end."""

    app: ASGIApp
    parts: Parts
    supervisor: Supervisor
    _ending: asyncio.Future[None] | None = None

    def begin_stop(self) -> None:
        """Answer whoever waits, end every stream, and let the workers end what they have begun."""
        if not self.parts.stopping:
            self.parts.stopping = True
            self.parts.hub.ring_stop()
            self.parts.broadcast.close()
            self._ending = asyncio.ensure_future(self.supervisor.stop())

    async def stopped(self) -> None:
        """Wait until the workers have ended."""
        self.begin_stop()
        if self._ending is not None:
            await self._ending


@asynccontextmanager
async def running(
    settings: ServeSettings,
    *,
    clock: Clock | None = None,
    sandbox_chances: SandboxRules | None = None,
) -> AsyncIterator[Service]:
    """Everything but the HTTP server, from opening the store to closing it.

    `sandbox_chances` stands in for the sandbox's settings, which have no seed.

    Raises:
        SecretFileError, StoreError: in words that can be shown.
    """
    async with (
        _opened(settings) as (store, metrics),
        _running_on(store, metrics, settings, clock or SystemClock(), sandbox_chances) as service,
    ):
        yield service


@asynccontextmanager
async def _opened(settings: ServeSettings) -> AsyncIterator[tuple[Store, Metrics]]:
    metrics = Metrics(version("receiver"))
    store = await open_store(
        settings.database_url, entropy=os.urandom, serving=True, on_batch=metrics.count_batch
    )
    try:
        yield store, metrics
    finally:
        await store.close()


@asynccontextmanager
async def _running_on(
    store: Store,
    metrics: Metrics,
    settings: ServeSettings,
    clock: Clock,
    sandbox_chances: SandboxRules | None = None,
) -> AsyncIterator[Service]:
    keys = signing_keys(settings)
    async with AsyncExitStack() as stack:
        sandbox_url = None
        if settings.provider == "sandbox":
            chances = sandbox_chances or sandbox_rules(settings)
            sandbox_url = await stack.enter_async_context(
                _embedded_sandbox(settings, chances, clock)
            )
        provider = open_provider(settings.provider, Surroundings(settings, clock, sandbox_url))
        stack.push_async_callback(provider.close)
        core = Core(
            store=store,
            clock=clock,
            ids=Ids(os.urandom),
            rules=rules(settings),
            providers={provider.name: provider},
            metrics=metrics,
        )
        courier = Courier(
            Resolver().resolve,
            clock,
            allow_http=settings.relay_allow_http,
            allow_nets=settings.relay_allow_nets,
        )
        service = assemble(settings, core, keys, courier, random.SystemRandom())
        await recover(core)
        service.supervisor.start()
        stack.push_async_callback(service.stopped)
        yield service


async def serve(settings: ServeSettings, on_start: Callable[[Service, str], None]) -> None:
    """Run the service until SIGTERM or SIGINT; `on_start` is told where it can be reached.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
        SecretFileError, StoreError: see `running`.
    """
    allow_many_connections()
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The store first: that another service runs on it says more than that its port is taken.
    async with _opened(settings) as (store, metrics):
        with listen(settings.host, settings.port) as listener:
            settings = settings.with_port(listener.getsockname()[1])
            async with _running_on(store, metrics, settings, SystemClock()) as service:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, stop.set)
                # What was made so far stays. To look through it for garbage, once a second under
                # load, held everybody up for 40 ms.
                gc.collect()
                gc.freeze()
                async with serving(
                    service.app, listener, grace=STOP_SECONDS, turnstile=_turnstile(store, metrics)
                ):
                    on_start(service, origin(listener))
                    await stop.wait()
                    log.info("stopping")
                    service.begin_stop()


def _turnstile(store: Store, metrics: Metrics) -> Turnstile:
    return Turnstile(
        is_spared=is_spared,
        cannot_write=lambda: store.busy,
        on_refusal=lambda method: metrics.count_request(REFUSED, method, 503, 0.0),
    )


def signing_keys(settings: ServeSettings) -> list[str]:
    """SECRET_KEYS, or those of the file beside the database, made where it is not there."""
    if settings.secret_keys is not None:
        return [key.get_secret_value() for key in settings.secret_keys]
    if settings.secret_file is None:
        raise AssertionError("settings refuse a shared database without SECRET_KEYS")
    return load_or_create(settings.secret_file)


def rules(settings: ServeSettings) -> Rules:
    """The state machine's rules, in milliseconds."""
    return Rules(
        job_deadline=_ms(settings.job_deadline),
        unconfirmed_deadline=_ms(settings.unconfirmed_deadline),
        confirm_callbacks=settings.confirm_callbacks,
        confirm_timeout=_ms(settings.confirm_timeout),
        poll_first=_ms(settings.poll_first),
        poll_min=_ms(settings.poll_min),
        poll_max=_ms(settings.poll_max),
        relay_first=_ms(settings.relay_schedule[0]),
    )


def sandbox_rules(settings: SandboxSettings) -> SandboxRules:
    """How the sandbox behaves, by the settings."""
    return SandboxRules(
        render_seconds=settings.sandbox_render,
        drop_callbacks=settings.sandbox_drop_callbacks,
        duplicate_callbacks=settings.sandbox_duplicate_callbacks,
        fail_jobs=settings.sandbox_fail_jobs,
        submit_timeouts=settings.sandbox_submit_timeouts,
    )


def _ms(seconds: float) -> Millis:
    return round(seconds * 1_000)


@asynccontextmanager
async def _embedded_sandbox(
    settings: ServeSettings, chances: SandboxRules, clock: Clock
) -> AsyncIterator[str]:
    key = settings.samsar_api_key
    async with sandbox(
        chances,
        clock,
        InputRules(frozenset(settings.image_models), frozenset(settings.video_models)),
        api_key=None if key is None else key.get_secret_value(),
        remember_in=settings.sandbox_file,
    ) as origin:
        yield origin + API_PATH


def assemble(
    settings: ServeSettings,
    core: Core,
    keys: Sequence[str],
    courier: Courier,
    chance: random.Random,
) -> Service:
    """A service at rest, of the parts that reach the outside; nothing of it runs yet."""
    hub = Hub()
    core.store.on_change = hub.announce
    broadcast = Broadcast(core.store, hub, core.metrics, core.clock, settings.stream_heartbeat)
    tokens = CallbackTokens(keys)
    sessions = Sessions(keys, core.clock, secure=settings.public_url.startswith("https:"))
    parts = Parts(
        core=core,
        settings=settings,
        hub=hub,
        broadcast=broadcast,
        auth=Authenticator(core.store, core.clock, core.metrics, sessions),
        sessions=sessions,
        rate_limit=RateLimit(settings.rate_limit, core.clock),
        tokens=tokens,
        tickets=Tickets(keys),
        cursors=Cursors(keys),
        chance=chance.randint,
    )
    holder = f"{chance.getrandbits(64):016x}"
    workers: list[Worker] = [
        Inbox(core, hub),
        Submitter(
            core,
            hub,
            _callback_addresses(settings.public_url, tokens),
            holder,
            settings.submit_timeout,
        ),
        Poller(core, hub, holder, settings.poll_rate, settings.poll_concurrency),
        Deadlines(core, hub, holder),
        Relay(
            core,
            hub,
            courier,
            holder,
            schedule=[_ms(gap) for gap in settings.relay_schedule],
            timeout=settings.relay_timeout,
            chance=chance.random,
        ),
        Janitor(core, round(settings.retention_days * DAY)),
    ]
    supervisor = Supervisor(workers, core.clock, core.metrics)
    supervisor.keep_running("broadcast", broadcast.pump)
    supervisor.keep_running("heartbeat", broadcast.beat)
    supervisor.keep_running("safety", _safety(core.store, core.clock, hub.ring_all))
    return Service(FrontDoor(parts, (*TABLE, *_dashboard(settings))), parts, supervisor)


def _dashboard(settings: ServeSettings) -> Iterator[Row]:
    nearby = settings.provider == "sandbox" or is_this_machine(settings.samsar_base_url)
    for path, page in pages(settings.public_url, settings.host, results_nearby=nearby).items():
        yield Row("GET", path, Credential.NONE, _whatever_the_parts(page))


def _whatever_the_parts(page: ASGIApp) -> Endpoint:
    return lambda _parts: page


def _callback_addresses(public_url: str, tokens: CallbackTokens) -> CallbackAddresses:
    def address(job: Job) -> str:
        return f"{public_url}/webhooks/{job.provider}/{tokens.sign(job.provider, job.id)}"

    return address


def _safety(
    store: Store, clock: Clock, ring_all: Callable[[], None]
) -> Callable[[], Awaitable[None]]:
    async def loop() -> None:
        while True:
            await clock.sleep(SAFETY_SECONDS)
            if await store.changed_elsewhere():
                ring_all()

    return loop
