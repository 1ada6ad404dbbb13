"""What commands share: how they run, their common options, and how they reach the settings, the
store and the service."""

import asyncio
import functools
import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, TypeVar

import typer

from receiver.cli.errors import warn
from receiver.cli.output import Output
from receiver.client import AsyncClient
from receiver.environment import Settings, SettingsError, load
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
Limit = Annotated[int, typer.Option("--limit", help="Maximum number of rows.", min=1, max=200)]
Cursor = Annotated[
    str | None, typer.Option("--cursor", help="The cursor printed after the previous page.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Command = Callable[..., Coroutine[Any, Any, Any]]
"""A command as a coroutine function."""
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


def _blocking(function: Command) -> Callable[..., None]:
    """A function that typer can call; it reads the options from the signature."""
    signature = inspect.signature(function)
    if "client" in signature.parameters:
        function = _with_client(function)
    if signature.return_annotation is Output:
        function = _printing(function)

    @functools.wraps(function)
    def call(**given: Any) -> None:
        _run(function(**given))

    return call


def _with_client(function: Command) -> Command:
    """The same with --url and --api-key instead of the client."""

    async def call(*, url: str | None, api_key: str | None, **given: Any) -> Any:
        async with the_service(url, api_key) as client:
            return await function(client=client, **given)

    return _described(call, function, ("url", Url, None), ("api_key", ApiKey, None))


def _printing(function: Command) -> Command:
    """The same with --json; prints the output instead of returning it."""

    async def call(*, json: bool, **given: Any) -> None:
        output = await function(**given)
        output.print(json=json)

    return _described(call, function, ("json", Json, False))


def _described(call: Command, function: Command, *options: tuple[str, Any, Any]) -> Command:
    """`call` with the description of `function`, without its client and with these options: name,
    annotation and default of each."""
    functools.update_wrapper(call, function)
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.name != "client"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in options
    ]
    # `inspect.signature` reads this attribute, and Typer asks it; the type of a function has none.
    call.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return call


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a new event loop, uvloop's if it is installed.

    Ctrl-C cancels it; KeyboardInterrupt is raised when it ends.
    """
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    # Not available on Windows.
    with suppress(ImportError):
        from uvloop import new_event_loop as loop_factory
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main)


def configured(kind: type[S], **given: object) -> S:
    """Load a command's settings; `given` are its options, None if omitted. Prints warnings to
    stderr; `serve`, `sandbox` and `doctor` report them in their own way instead.

    Raises SettingsError.
    """
    settings = load(kind, **given)
    for warning in settings.warnings():
        warn(warning)
    return settings


@asynccontextmanager
async def the_store(settings: StoreSettings | None = None) -> AsyncIterator[Store]:
    """The configured store; loads the settings by default. Raises SettingsError, StoreError."""
    settings = settings or configured(StoreSettings)
    try:
        store = await open_store(settings.database_url, entropy=os.urandom)
    except ValueError as error:
        raise SettingsError((f"RECEIVER_DATABASE_URL: {error}",)) from error
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def the_service(url: str | None, api_key: str | None) -> AsyncIterator[AsyncClient]:
    """A client of the service given by the options or the settings. Raises SettingsError."""
    settings = configured(ClientSettings, url=url, api_key=api_key)
    async with AsyncClient(settings.url, settings.api_key.get_secret_value()) as client:
        yield client
