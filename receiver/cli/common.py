"""What commands share: how they run, their options, and how they reach the service or the store."""

import asyncio
import functools
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
import uvloop

from receiver.cli.errors import Failure, warn
from receiver.client import AsyncClient
from receiver.config.environment import Settings, load
from receiver.config.settings import ClientSettings, StoreSettings
from store.database import Store
from store.open import open_store

User = Annotated[
    str | None,
    typer.Option(
        "--user", help="Another user's, or all users' with '*'. Needs an admin key.", metavar="NAME"
    ),
]
Limit = Annotated[
    int,
    typer.Option("--limit", help="Maximum number of rows, up to 200.", metavar="N", min=1, max=200),
]
Cursor = Annotated[
    str | None,
    typer.Option("--cursor", help="The cursor printed after the previous page.", metavar="CURSOR"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

P = ParamSpec("P")
S = TypeVar("S", bound=Settings)


def coroutine(command: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a command of a coroutine function. SIGTERM cancels it where it waits, as Ctrl-C does."""

    @functools.wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> None:
        try:
            uvloop.run(_until_sigterm(command(*args, **options)))
        except asyncio.CancelledError:
            sys.exit(128 + signal.SIGTERM)

    return run


async def _until_sigterm(running: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await running


def load_and_warn(kind: type[S], **given: object) -> S:
    """Load a command's settings; `given` are its options, None if omitted. Prints warnings to
    stderr; `serve`, `sandbox` and `doctor` report them in their own way instead.

    Raises SettingsError.
    """
    settings = load(kind, **given)
    for warning in settings.warnings():
        warn(warning)
    return settings


@asynccontextmanager
async def service() -> AsyncIterator[AsyncClient]:
    """A client of the configured service."""
    settings = load_and_warn(ClientSettings)
    async with AsyncClient(settings.url, settings.api_key.get_secret_value()) as client:
        yield client


def is_missing(settings: StoreSettings) -> bool:
    """Whether opening the store would create a SQLite database, or fill an empty file with one."""
    path = settings.sqlite_path
    return path is not None and (not path.exists() or path.stat().st_size == 0)


def require_database(settings: StoreSettings) -> None:
    """Raise Failure if there is no SQLite database: a command that needs its content must not
    create an empty one in the wrong folder."""
    if is_missing(settings):
        raise Failure(f"There is no database at {settings.sqlite_path}. Set RECEIVER_DATABASE_URL.")


@asynccontextmanager
async def configured_store(settings: StoreSettings) -> AsyncIterator[Store]:
    """The store. Raises StoreError."""
    store = await open_store(settings.database_url)
    try:
        yield store
    finally:
        await store.close()
