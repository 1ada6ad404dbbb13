"""The service as an ASGI application: for any server, or mounted in another application.

`receiver serve` does more for it (docs/asgi.md).
"""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import FrameType
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.app import running
from receiver.cli.errors import report
from receiver.config.environment import SettingsError, load
from receiver.http_api.errors import Problem
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.telemetry import logs

_ACCESS_LOGS: Final = ("uvicorn.access", "hypercorn.access", "granian.access")

log = structlog.get_logger()


def create_app() -> "Application":
    """The application, with the settings of the environment. If these are invalid, it says how on
    stderr and raises SystemExit."""
    try:
        settings = load(with_providers(ServiceSettings))
    except SettingsError as error:
        sys.exit(report(error))
    if not structlog.is_configured():
        logs.configure_own(settings.log_format, settings.log_level)
    logs.redact_values(settings.secrets())
    for name in _ACCESS_LOGS:
        logging.getLogger(name).addFilter(logs.redact_arguments)
    for warning in settings.warnings():
        log.warning(warning)
    if "public_url" not in settings.model_fields_set:
        log.warning("PUBLIC_URL is not set", callbacks_go_to=settings.public_url)
    return Application(settings)


@asynccontextmanager
async def lifespan(app: "Application") -> AsyncIterator[None]:
    """Run the service behind `app` while the block runs. An application that mounts `app` enters
    this in its own lifespan.

    Raises:
        ArchiveUnavailable, SecretFileError, StoreError: with a message for people.
    """
    async with running(app.settings) as service:
        with _at_stop_signals(service.begin_stop):
            app.serve = service.app
            try:
                yield
            finally:
                app.serve = _not_running


class Application:
    """The service behind ASGI. A server runs it by its lifespan."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.serve: ASGIApp = _not_running
        """Takes HTTP requests."""
        self._has_warned = False
        """Of a wrong path in PUBLIC_URL."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.serve(self._unmounted(scope), receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close"})

    def _unmounted(self, scope: Scope) -> Scope:
        """The request as if this application were alone."""
        root, path = scope.get("root_path", ""), scope["path"]
        if root != self.settings.root and not self._has_warned:
            self._has_warned = True
            log.warning(
                "the path in PUBLIC_URL is not the one below which requests come",
                public_url=self.settings.public_url,
                root_path=root,
            )
        if root and (path + "/").startswith(root + "/"):
            path = path.removeprefix(root)
        # The route is the outer application's.
        inner = {name: value for name, value in scope.items() if name != "route"}
        return {**inner, "path": path or "/", "root_path": ""}

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            try:
                await stack.enter_async_context(lifespan(self))
            except Exception as error:  # noqa: BLE001 - the server only says that it failed
                report(error)
                await send({"type": "lifespan.startup.failed", "message": ""})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _not_running(scope: Scope, receive: Receive, send: Send) -> None:
    text = "The service does not run. An application that mounts it enters receiver.asgi.lifespan."
    await Problem(503, "not_running", text).response()(scope, receive, send)


@contextmanager
def _at_stop_signals(call: Callable[[], None]) -> Iterator[None]:
    """Call it in the event loop when the process gets SIGINT or SIGTERM, beside what the server
    does then. Servers wait for open responses before they end the lifespan: streams would not end.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        handler = before[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)

    # Other threads cannot set handlers; a signal without one ends the process.
    taken = [number for number, handler in before.items() if callable(handler)]
    if threading.current_thread() is not threading.main_thread():
        taken = []
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in taken:
            if signal.getsignal(number) is handle:
                signal.signal(number, before[number])
