"""What commands share: how they run, their common options, and how they reach the settings, the
store and the service."""

import asyncio
import functools
import inspect
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop

from receiver.cli.errors import Failure, warn
from receiver.cli.output import Output
from receiver.client import AsyncClient
from receiver.environment import Settings, load
from receiver.settings import ClientSettings, StoreSettings
from store.database import Store
from store.open import open_store

Url = Annotated[
    str | None, typer.Option("--url", help="The service's address (RECEIVER_URL).", metavar="URL")
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", help="Your API key (RECEIVER_API_KEY).", metavar="KEY")
]
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

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=Settings)


class Commands(typer.Typer):
    """A group of commands, which can be coroutine functions.

    If one has a parameter `client`, it gets a client of the service, and its command gets the
    options --url and --api-key. If it returns an `Output`, that is printed, and its command gets
    the option --json.
    """

    def command(self, *args: Any, **options: Any) -> Callable[[F], F]:
        """See `typer.Typer.command`."""
        register = super().command(*args, **options)

        def decorate(function: F) -> F:
            register(_blocking(function) if inspect.iscoroutinefunction(function) else function)
            return function

        return decorate


def _blocking(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., None]:
    """Wrap a command in a plain function for typer, which reads the options from its signature."""
    signature = inspect.signature(function)
    takes_client = "client" in signature.parameters
    prints = signature.return_annotation is Output

    async def run(given: dict[str, Any]) -> Any:
        task = asyncio.current_task()
        if task and threading.current_thread() is threading.main_thread():
            # An exception out of any line, as of `main`, would leave the store's threads running.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        if not takes_client:
            return await function(**given)
        settings = load_and_warn(ClientSettings, url=given.pop("url"), api_key=given.pop("api_key"))
        async with AsyncClient(settings.url, settings.api_key.get_secret_value()) as client:
            return await function(client=client, **given)

    @functools.wraps(function)
    def call(**given: Any) -> None:
        as_json = given.pop("json") if prints else False
        try:
            output = uvloop.run(run(given))
        except asyncio.CancelledError:
            sys.exit(128 + signal.SIGTERM)
        if prints:
            try:
                output.print(json=as_json)
            except OSError as error:
                error.add_note("The command was carried out; only its output could not be written.")
                raise

    options = [each for each in signature.parameters.values() if each.name != "client"]
    if takes_client:
        options += [_option("url", Url, None), _option("api_key", ApiKey, None)]
    if prints:
        options.append(_option("json", Json, False))
    # typer calls `inspect.signature`, which reads this attribute; mypy knows of none on a function.
    call.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    return call


def _option(name: str, kind: Any, default: object) -> inspect.Parameter:
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=kind)


def load_and_warn(kind: type[S], **given: object) -> S:
    """Load a command's settings; `given` are its options, None if omitted. Prints warnings to
    stderr; `serve`, `sandbox` and `doctor` report them in their own way instead.

    Raises SettingsError.
    """
    settings = load(kind, **given)
    for warning in settings.warnings():
        warn(warning)
    return settings


def require_database(settings: StoreSettings) -> None:
    """Raise Failure if there is no SQLite database: a command that needs its content must not
    create an empty one in the wrong folder."""
    path = settings.sqlite_path
    if path is not None and is_new(settings):
        what = f"{path} is empty" if exists(path) else f"There is no database at {path}"
        raise Failure(f"{what}. Set RECEIVER_DATABASE_URL.")


def is_new(settings: StoreSettings) -> bool:
    """Whether opening the store would create a SQLite database, or fill an empty file with one."""
    path = settings.sqlite_path
    if path is None:
        return False
    return not exists(path) or (path.is_file() and path.stat().st_size == 0)


def exists(path: Path) -> bool:
    """Whether there is such a file. Raises OSError if that cannot be known, where `Path.exists`
    says False on Python 3.14."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@asynccontextmanager
async def open_configured_store(settings: StoreSettings) -> AsyncIterator[Store]:
    """The configured store. Raises StoreError."""
    store = await open_store(settings.database_url)
    try:
        yield store
    finally:
        await store.close()
