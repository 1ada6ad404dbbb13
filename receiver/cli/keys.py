"""`keys`: users and their API keys. Works on the store, also while the service runs."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from receiver.cli.common import (
    Json,
    configured_store,
    coroutine,
    is_missing,
    load_and_warn,
    require_database,
)
from receiver.cli.errors import Failure, warn
from receiver.cli.output import Table, emit, local_times
from receiver.clock import SystemClock
from receiver.config.settings import StoreSettings
from receiver.domain.serialization import timestamp
from receiver.engine.keys import check_user_name, hash_key, issue_key, key_document, rotate_secret
from store.database import Store
from store.errors import NotFound

UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]

keys = typer.Typer(
    help="Manage API keys: create, list, revoke, rotate-secret.",
    no_args_is_help=True,
)
_clock = SystemClock()


@keys.command()
@coroutine
async def create(
    user: UserName,
    admin: Annotated[
        bool,
        typer.Option(
            "--admin",
            help="An admin key: it can read all users' jobs, streams and deliveries, and retry"
            " deliveries.",
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(help="What tells this key from the user's others.", metavar="NAME"),
    ] = None,
    json: Json = False,
) -> None:
    """Create a key for a user, and the user if the name is new. Prints the key, which cannot be
    shown again, and the secret that signs the user's webhooks."""
    check_user_name(user)  # before a database is created
    settings = load_and_warn(StoreSettings)
    was_missing = is_missing(settings)
    async with configured_store(settings) as store:
        if was_missing:
            warn(f"There was no database at {settings.sqlite_path}: it was created.")
        now = _clock.now()
        issued = asdict(await issue_key(store, now, os.urandom, user, admin=admin, name=name))
    note = "The key is not shown again. Verify the service's webhooks with the secret."
    emit(json, issued, issued, note)


@keys.command(name="list")
@coroutine
async def list_(json: Json = False) -> None:
    """List all keys by their first characters, oldest first."""
    settings = load_and_warn(StoreSettings)
    documents = []
    if not is_missing(settings):
        async with configured_store(settings) as store:
            newest_first = await store.keys.list_page("", sys.maxsize)
        documents = [key_document(key) for key in reversed(newest_first)]
    empty = f"No keys yet in {_place(settings)}: `receiver keys create USER` creates one."
    columns = "prefix user name admin created_at last_used_at revoked_at"
    emit(json, documents, Table(columns, map(local_times, documents), empty))


@keys.command()
@coroutine
async def revoke(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="The first characters of the key, or all of it.")
    ],
    json: Json = False,
) -> None:
    """Revoke the active key with this prefix."""
    if not prefix:
        raise typer.BadParameter("the prefix is empty and would match every key")
    async with _store_with(prefix) as store:
        # A whole key can be found only by its hash.
        whole = await store.keys.find(hash_key(prefix))
        key = await store.keys.revoke(whole.prefix if whole else prefix, _clock.now())
    line = f"Revoked {key.prefix} of {key.user}. It stops working within five seconds."
    emit(json, key_document(key), line)


@keys.command(name="rotate-secret")
@coroutine
async def rotate(user: UserName, json: Json = False) -> None:
    """Give a user a new signing secret. For 24 hours webhooks are signed with both."""
    async with _store_with(user) as store:
        changed = await rotate_secret(store, _clock.now(), os.urandom, user)
    values = {
        "user": changed.name,
        "secret": changed.secret,
        "previous_secret_until": timestamp(changed.previous_secret_until),
    }
    emit(json, values, local_times(values))


@asynccontextmanager
async def _store_with(name: str) -> AsyncIterator[Store]:
    """The store, which must exist. A `NotFound` in the block is about the key or user `name`."""
    settings = load_and_warn(StoreSettings)
    require_database(settings)
    async with configured_store(settings) as store:
        try:
            yield store
        except NotFound:
            raise Failure(
                f"There is no active key and no user {name!r} in {_place(settings)}; nothing was"
                " changed. See `receiver keys list`."
            ) from None


def _place(settings: StoreSettings) -> str:
    return str(settings.sqlite_path or "the database")
