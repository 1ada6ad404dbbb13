"""The composition root, the one place that knows all parts: it opens what does I/O, connects the
parts, and runs them.

What serves a service over HTTP is above it: `cli/serve.py`, `asgi.py`.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
from starlette.types import ASGIApp

from receiver.archive import open_archive
from receiver.archive.contract import Archive
from receiver.archive.download import Downloader
from receiver.clock import Clock, SystemClock
from receiver.config.secret_file import load_or_create
from receiver.dashboard.pages import pages
from receiver.domain.schedule import DAY, Pace, Rules
from receiver.engine.accept_callback import CallbackIntake
from receiver.engine.context import ServiceContext
from receiver.engine.deliveries import WebhookDeliveries
from receiver.engine.downloads import ArchiveUpkeep, Downloads
from receiver.engine.janitor import Janitor
from receiver.engine.lanes import LEASE_SLACK, Handler, LaneWorker
from receiver.engine.observe_job import count_ends
from receiver.engine.polls import StatusPolls
from receiver.engine.recover import recover
from receiver.engine.status_calls import StatusCalls
from receiver.engine.submissions import Submissions
from receiver.engine.supervisor import Supervisor, Worker
from receiver.engine.timeouts import Timeouts
from receiver.http_api.application import application
from receiver.http_api.body import Bodies
from receiver.http_api.context import ApiContext
from receiver.http_api.credentials import PUBLIC, OpenHandler, Operation
from receiver.http_api.lingering import Lingering
from receiver.http_api.load_shedding import LoadShedder
from receiver.http_api.routes import routes_of
from receiver.large_bodies import LargeBodies
from receiver.net.resolver import Resolver
from receiver.net.this_machine import is_this_machine
from receiver.providers.registry import Providers, simulator_api
from receiver.providers.settings import ServiceSettings
from receiver.signed_text import Purpose, Signer
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator, simulator_rules
from receiver.streams.broadcast import Broadcast
from receiver.streams.hub import STOP, Hub
from receiver.telemetry import logs
from receiver.telemetry.metrics import Metrics
from receiver.tracing import start_tracing
from receiver.upstream.contract import Provider
from receiver.webhooks.delivery import WebhookSender
from receiver.webhooks.network import CheckedNetwork
from store.database import Store
from store.ids import Ids
from store.open import open_store
from store.records.jobs import Job
from store.records.times import Millis

COMMIT_DELAY = 0.005
"""How long a write to SQLite waits for others that share its sync, in seconds."""

STORE_CHECK_SECONDS = 1.0
"""How often to check whether another process has written to the store."""

log = structlog.get_logger()


@dataclass(slots=True)
class Service:
    """A service: its application, and how to start and stop what runs behind it."""

    app: ASGIApp
    context: ApiContext
    supervisor: Supervisor
    _ending: asyncio.Future[None] | None = None

    def start(self) -> None:
        broadcast = self.context.broadcast
        self.supervisor.start()
        self.supervisor.keep_running("broadcast", broadcast.pump)
        self.supervisor.keep_running("revocation", broadcast.end_revoked)
        self.supervisor.keep_running("safety", self._watch_store)

    def begin_stop(self) -> None:
        """Answer waiting requests, end the streams, and let the workers finish what they began."""
        if not self.context.stopping:
            self.context.stopping = True
            self.context.hub.notify(STOP)
            self.context.broadcast.close()
            self._ending = asyncio.ensure_future(self.supervisor.stop())

    async def stop(self) -> None:
        self.begin_stop()
        if self._ending is not None:
            await self._ending

    async def _watch_store(self) -> None:
        """Notify all subscribers when another process has written to the store."""
        services = self.context.services
        while True:
            await services.clock.sleep(STORE_CHECK_SECONDS)
            if await services.store.changed_elsewhere():
                self.context.hub.notify_all()


@asynccontextmanager
async def running(
    settings: ServiceSettings,
    *,
    clock: Clock | None = None,
    simulator_faults: SimulatorRules | None = None,
) -> AsyncIterator[Service]:
    """Run everything except the HTTP server, from opening the store to closing it.

    `simulator_faults` replaces the sandbox's settings, which have no seed.

    Raises:
        ArchiveUnavailable, SecretFileError, StoreError: with a message for people.
    """
    async with (
        opened(settings) as (store, metrics),
        running_on(store, metrics, settings, clock or SystemClock(), simulator_faults) as service,
    ):
        yield service


@asynccontextmanager
async def opened(settings: ServiceSettings) -> AsyncIterator[tuple[Store, Metrics]]:
    """The store, and the metrics that count its commits. Raises StoreError."""
    metrics = Metrics(version("job-receiver"))
    store = await open_store(
        settings.database_url,
        serving=True,
        on_batch=metrics.count_batch,
        commit_delay=COMMIT_DELAY,
    )
    try:
        yield store, metrics
    finally:
        await store.close()


@asynccontextmanager
async def running_on(
    store: Store,
    metrics: Metrics,
    settings: ServiceSettings,
    clock: Clock,
    simulator_faults: SimulatorRules | None = None,
) -> AsyncIterator[Service]:
    """Run the rest of `running` on an open store."""
    if settings.lacks_secrets and await store.jobs.newest() is not None:
        log.warning(
            "the signing secrets are new, but the database has jobs: earlier callback URLs,"
            " stream tickets and sessions are invalid. Restore the previous file, unless you"
            " have removed it on purpose",
            file=str(settings.secret_file),
        )
    keys = signing_keys(settings)
    logs.redact_values(keys)
    traced = start_tracing()
    async with AsyncExitStack() as stack:
        providers = Providers(settings)
        faults = simulator_faults or simulator_rules(settings)
        simulators: list[str] = []
        opened: dict[str, Provider] = {}
        for name in settings.provider_names:
            own = None
            if settings.base_url_of(name) is None:
                api = simulator_api(name, settings)
                own = await stack.enter_async_context(simulator(faults, clock, api))
                simulators.append(own)
            opened[name] = providers.open(name, clock, own)
            stack.push_async_callback(opened[name].close)
        holder = os.urandom(8).hex()
        services = ServiceContext(
            store=store,
            holder=holder,
            clock=clock,
            ids=Ids(os.urandom),
            rules=rules(settings, providers, opened),
            providers=opened,
            known_kinds=providers.known_kinds(),
            metrics=metrics,
            status_calls=StatusCalls(clock, metrics, settings.poll_rate, settings.poll_concurrency),
            user_storage=settings.user_storage,
            prices=settings.prices,
        )
        for name in opened:
            metrics.watch_breaker(name, partial(services.status_calls.state, name))
        network = CheckedNetwork(
            Resolver().resolve,
            allow_http=settings.relay_allow_http,
            allow_nets=settings.relay_allow_nets,
        )
        archiving = None
        if settings.archive_url is not None:
            downloader = Downloader(
                network, settings.archive_max_bytes, simulators, settings.archive_user_bytes
            )
            archive = open_archive(settings.archive_url)
            stack.push_async_callback(archive.close)
            archiving = archive, downloader
        sender = WebhookSender(network, clock)
        service = assemble(
            settings, providers, services, keys, sender, random.SystemRandom(), archiving
        )
        service.app = Lingering(LoadShedder(traced(service.app), service.context))
        await recover(services)
        service.start()
        stack.push_async_callback(service.stop)
        for provider in opened.values():
            provider.start()
        yield service


def rules(
    settings: ServiceSettings, providers: Providers, running: Mapping[str, Provider]
) -> Rules:
    """The state machine's settings; times are in milliseconds."""
    paces = {
        name: Pace(each.can_ask, each.poll_every, each.retention) for name, each in running.items()
    }
    return Rules(
        job_deadline=_ms(settings.job_deadline),
        queue_deadline=_ms(settings.queue_deadline),
        jobs_in_flight=dict[str, int](settings.jobs_in_flight.items()),
        unconfirmed_deadline=_ms(settings.unconfirmed_deadline),
        submit_lease=_ms(settings.submit_timeout) + LEASE_SLACK,
        confirm_callbacks=settings.confirm_callbacks,
        confirm_timeout=_ms(settings.confirm_timeout),
        poll_first=_ms(settings.poll_first),
        poll_min=_ms(settings.poll_min),
        poll_max=_ms(settings.poll_max),
        paces={name: pace for name, pace in paces.items() if pace != Pace()},
        relay_first=_ms(settings.relay_schedule[0]),
        archive=settings.archive_url is not None,
        root=settings.root,
        client_webhooks=providers.client_webhooks(),
    )


def assemble(
    settings: ServiceSettings,
    providers: Providers,
    services: ServiceContext,
    keys: Sequence[str],
    sender: WebhookSender,
    rng: random.Random,
    archiving: tuple[Archive, Downloader] | None = None,
) -> Service:
    """Assemble a service from the parts that do I/O; nothing runs yet."""
    hub = Hub()
    services.store.on_commit = hub.announce
    hub.add_commit_listener(partial(count_ends, services.metrics))
    signer = Signer(keys)
    callback_address = partial(_callback_address, settings.public_url, signer)
    submissions = Submissions(services, hub, callback_address, settings.submit_concurrency)
    deliveries = WebhookDeliveries(
        services,
        hub,
        sender,
        schedule=[_ms(gap) for gap in settings.relay_schedule],
        timeout=settings.relay_timeout,
        jitter=rng.random,
    )
    large = LargeBodies(services.clock)
    context = ApiContext(
        services=services,
        settings=settings,
        signer=signer,
        hub=hub,
        broadcast=Broadcast(
            services.store, hub, services.metrics, services.clock, settings.stream_heartbeat
        ),
        bodies=Bodies(settings.max_body_bytes, large),
        large_bodies=large,
        submissions=submissions,
        deliveries=deliveries,
        callbacks=CallbackIntake(services, large),
        sender=sender,
        rng=rng,
        archive=archiving and archiving[0],
    )
    handlers: list[Handler[Any]] = [
        submissions,
        StatusPolls(services, hub, rng),
        Timeouts(services, hub),
        deliveries,
    ]
    workers: list[Worker] = [Janitor(services, round(settings.retention_days * DAY))]
    if archiving is not None:
        downloads = Downloads(services, hub, *archiving)
        handlers.append(downloads)
        workers.append(ArchiveUpkeep(services, archiving[0], downloads.swept))
    workers += [LaneWorker(handler, services.clock) for handler in handlers]
    table = routes_of(providers.client_routes(), providers.words())
    return Service(
        application(context, (*table, *_dashboard(settings))),
        context,
        Supervisor(workers, services.clock, services.metrics),
    )


def _dashboard(settings: ServiceSettings) -> Iterator[Operation[OpenHandler]]:
    urls = map(settings.base_url_of, settings.provider_names)
    nearby = any(url is None or is_this_machine(url) for url in urls)
    for path, page in pages(settings.public_url, settings.host, results_nearby=nearby).items():
        yield Operation("GET", path, PUBLIC, page)


def _callback_address(public_url: str, signer: Signer, job: Job) -> str:
    return f"{public_url}/webhooks/{signer.sign(Purpose.CALLBACK, f'{job.provider}/{job.id}')}"


def _ms(seconds: float) -> Millis:
    return round(seconds * 1_000)


def signing_keys(settings: ServiceSettings) -> list[str]:
    """SECRET_KEYS, or those in the file beside the database, which is created if missing."""
    if settings.secret_keys:
        return [key.get_secret_value() for key in settings.secret_keys]
    assert settings.secret_file is not None, "a shared database requires SECRET_KEYS"
    return load_or_create(settings.secret_file)
