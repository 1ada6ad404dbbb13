"""What a command works on: its settings, and the store or the service that they name."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import typer

from receiver.cli.exits import tell
from receiver.client import AsyncClient
from receiver.settings import ClientSettings, Settings, SettingsError, StoreSettings, load
from store.contract import Store
from store.open import open_store

Url = Annotated[
    str | None, typer.Option("--url", help="The service's address (RECEIVER_URL).", metavar="URL")
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", help="The key to send (RECEIVER_API_KEY).", metavar="KEY")
]
User = Annotated[
    str | None, typer.Option("--user", help="Another user's, for admin keys.", metavar="NAME")
]
Limit = Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=200)]
Cursor = Annotated[
    str | None, typer.Option("--cursor", help="The page after: what the one before ended with.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

S = TypeVar("S", bound=Settings)


def configured(kind: type[S], **given: object) -> S:
    """The settings of a command; its options that were not given are None. Says on stderr what is
    allowed and probably not meant, which serve and sandbox log, and doctor finds.

    Raises SettingsError.
    """
    settings = load(kind, **{name: value for name, value in given.items() if value is not None})
    for warning in settings.warnings():
        tell(warning)
    return settings


@asynccontextmanager
async def the_store(settings: StoreSettings | None = None) -> AsyncIterator[Store]:
    """The store of the settings, read where none are given. Raises SettingsError, StoreError."""
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
    """A client of the service that the options or the settings name. Raises SettingsError."""
    settings = configured(ClientSettings, url=url, api_key=api_key)
    async with AsyncClient(settings.url, settings.api_key.get_secret_value()) as client:
        yield client
