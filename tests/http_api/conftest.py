"""Real services and their surroundings, each on a port of its own."""

import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import structlog

from tests.http_api.accepted_job import AcceptedJob, create_accepted_job
from tests.http_api.relay_sink import Sink, relay_sink
from tests.http_api.scripted_provider import ScriptedProvider, scripted_provider
from tests.http_api.webhook_job import RELAY, WebhookJobs
from tests.support.service import RunningService, running_service

Start = Callable[..., Awaitable[RunningService]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a service with the given settings and a database of its own."""
    async with AsyncExitStack() as stack:

        async def start(**given: Any) -> RunningService:
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            return await stack.enter_async_context(running_service(folder, **given))

        yield start


@pytest.fixture
async def provider(start: Start) -> AsyncIterator[ScriptedProvider]:
    """A provider that closes before the services do, which ends its unanswered calls."""
    async with scripted_provider() as provider:
        yield provider


@pytest.fixture
async def service(provider: ScriptedProvider, start: Start) -> RunningService:
    """A service in front of the scripted provider. A test file may override it."""
    return await start(**provider.settings())


@pytest.fixture
async def client(service: RunningService) -> httpx.AsyncClient:
    """A user of that service."""
    return await service.user()


@pytest.fixture
async def job(client: httpx.AsyncClient, provider: ScriptedProvider) -> AcceptedJob:
    """A job of that user. The service confirms claims, unless a file overrides it."""
    return await create_accepted_job(client, provider)


@pytest.fixture
async def trusting_job(start: Start, provider: ScriptedProvider) -> AcceptedJob:
    """A job of a service that trusts callbacks without confirming them."""
    service = await start(**provider.settings(), confirm_callbacks=False)
    return await create_accepted_job(service, provider)


@pytest.fixture
async def sink(start: Start) -> AsyncIterator[Sink]:
    """A webhook endpoint that closes before the services do, which ends its unanswered messages."""
    async with relay_sink() as sink:
        yield sink


@pytest.fixture
async def webhook_jobs(start: Start, provider: ScriptedProvider, sink: Sink) -> WebhookJobs:
    """Creates jobs at a service that sends webhooks, by default to `sink`."""
    return WebhookJobs(await start(**provider.settings(), **RELAY), provider, sink)


# --- for all tests of a file ----------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service for all tests of a file that only read, are refused, or have a user of their own.

    Its provider is the sandbox.
    """
    async with running_service(tmp_path_factory.mktemp("shared_service")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def shared_client(
    shared_service: RunningService, request: pytest.FixtureRequest
) -> httpx.AsyncClient:
    """A user of `shared_service`, for this test alone."""
    return await shared_service.user(request.node.name)


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Log only warnings, so that a failed test does not show each request."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()
