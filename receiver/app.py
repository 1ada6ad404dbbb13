"""The composition root: opens everything that does I/O, assembles a service from it, and runs it.

No other part of the service chooses a store, a provider or a server.
"""

import asyncio
import gc
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version

import structlog

from receiver.archive import open_archive
from receiver.archive.download import Downloader
from receiver.assembly import Service, assemble, rules
from receiver.clock import Clock, SystemClock
from receiver.config.secret_file import load_or_create
from receiver.engine.context import ServiceContext
from receiver.engine.recover import recover
from receiver.engine.status_calls import StatusCalls
from receiver.http_api.lingering import Lingering
from receiver.http_api.load_shedding import LoadShedder
from receiver.net.resolver import Resolver
from receiver.providers.registry import Providers, simulator_api
from receiver.providers.settings import ServiceSettings
from receiver.server.serve import allow_many_connections, listen, origin, serving
from receiver.simulator.faults import SandboxRules
from receiver.simulator.run import sandbox, sandbox_rules
from receiver.telemetry import logs
from receiver.telemetry.metrics import Metrics
from receiver.tracing import start_tracing
from receiver.upstream.contract import Provider
from receiver.webhooks.delivery import WebhookSender
from receiver.webhooks.network import CheckedNetwork
from store.database import Store
from store.ids import Ids
from store.open import open_store

SWITCH_SECONDS = 0.001
"""How long the event loop may keep the GIL while the store's thread waits for it, which happens
after each SQLite call. Python's default, 5 ms, would be most of the time of a small batch."""

COMMIT_DELAY = 0.005
"""How long a write to SQLite waits for others that share its sync, in seconds."""

STOP_SECONDS = 8.0
"""Time for requests to finish at shutdown; then their connections are cut."""

END_SECONDS = 9.5
"""Time for the whole shutdown; then the process exits as if it were killed."""

log = structlog.get_logger()


@asynccontextmanager
async def running(
    settings: ServiceSettings,
    *,
    clock: Clock | None = None,
    sandbox_faults: SandboxRules | None = None,
) -> AsyncIterator[Service]:
    """Run everything except the HTTP server, from opening the store to closing it.

    `sandbox_faults` replaces the sandbox's settings, which have no seed.

    Raises:
        ArchiveUnavailable, SecretFileError, StoreError: with a message for people.
    """
    async with (
        _opened(settings) as (store, metrics),
        _running_on(store, metrics, settings, clock or SystemClock(), sandbox_faults) as service,
    ):
        yield service


@asynccontextmanager
async def _opened(settings: ServiceSettings) -> AsyncIterator[tuple[Store, Metrics]]:
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
async def _running_on(
    store: Store,
    metrics: Metrics,
    settings: ServiceSettings,
    clock: Clock,
    sandbox_faults: SandboxRules | None = None,
) -> AsyncIterator[Service]:
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
        faults = sandbox_faults or sandbox_rules(settings)
        sandboxes: list[str] = []
        opened: dict[str, Provider] = {}
        for name in settings.provider_names:
            own = None
            if settings.base_url_of(name) is None:
                api = simulator_api(name, settings)
                own = await stack.enter_async_context(sandbox(faults, clock, api))
                sandboxes.append(own)
            opened[name] = providers.open(name, clock, own)
            stack.push_async_callback(opened[name].close)
        holder = os.urandom(8).hex()
        services = ServiceContext(
            store=store,
            holder=holder,
            clock=clock,
            ids=Ids(os.urandom),
            rules=rules(settings, providers),
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
                network, settings.archive_max_bytes, sandboxes, settings.archive_user_bytes
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


async def serve(settings: ServiceSettings, *, restored: bool = False) -> None:
    """Run the service until SIGTERM or SIGINT. A `restored` database is an older state of one that
    was served since: its unsent jobs may have been sent, and are not sent again.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
        ArchiveUnavailable, SecretFileError, StoreError: see `running`.
    """
    allow_many_connections()
    sys.setswitchinterval(SWITCH_SECONDS)
    # The store first: "another service runs on it" is a better error than "port in use".
    async with _opened(settings) as (store, metrics):
        if restored:
            await store.mark_as_copy()
        with listen(settings.host, settings.port) as listener:
            settings = settings.with_port(listener.getsockname()[1])
            async with _running_on(store, metrics, settings, SystemClock()) as service:
                stop = stop_signal()
                # A full collection would look at every module again, for 40 ms each time.
                gc.collect()
                gc.freeze()
                async with serving(service.app, listener, grace=STOP_SECONDS):
                    provider = ", ".join(settings.provider_names)
                    if not await store.keys.list_page("", 1):
                        log.info("no keys yet: `receiver keys create USER` makes one")
                    log.info("serving", url=origin(listener), provider=provider)
                    await stop.wait()
                    log.info("stopping")
                    asyncio.get_running_loop().call_later(END_SECONDS, _exit_at_once)
                    service.begin_stop()


def stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set from now on, instead of ending the process."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _exit_at_once() -> None:
    """End the process at once, whatever hangs (such as the store's thread, or a read that cannot be
    cancelled). The data on disk is as after a kill."""
    try:
        log.error("the service did not stop in time: it exits now, as if it were killed")
    finally:
        os._exit(1)


def signing_keys(settings: ServiceSettings) -> list[str]:
    """SECRET_KEYS, or those in the file beside the database, which is created if missing."""
    if settings.secret_keys:
        return [key.get_secret_value() for key in settings.secret_keys]
    assert settings.secret_file is not None, "a shared database requires SECRET_KEYS"
    return load_or_create(settings.secret_file)
