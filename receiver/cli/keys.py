"""`keys`: users and their API keys. Works on the store, also while the service runs."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from receiver.cli.command import (
    Commands,
    is_new,
    load_and_warn,
    open_configured_store,
    require_database,
)
from receiver.cli.errors import Failure, warn
from receiver.cli.output import Output, Table, local_times, moment
from receiver.clock import SystemClock
from receiver.domain.serialization import timestamp
from receiver.engine.keys import check_user_name, hash_key, issue_key, key_document, rotate_secret
from receiver.settings import StoreSettings
from store.errors import NotFound

UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]

keys = Commands(help="Create, list and revoke API keys.", no_args_is_help=True)
_clock = SystemClock()


@keys.command()
async def create(
    user: UserName,
    admin: Annotated[
        bool,
        typer.Option(
            "--admin",
            help="An admin key: it can read all users' jobs, retry deliveries,"
            " and create and revoke keys.",
        ),
    ] = False,
) -> Output:
    """Create a key for a user, and the user if the name is new. Prints the key, which cannot be
    shown again, and the secret that signs the user's webhooks."""
    check_user_name(user)  # before a database is created
    settings = load_and_warn(StoreSettings)
    created = is_new(settings)
    async with open_configured_store(settings) as store:
        if created:
            warn(f"There was no database at {settings.sqlite_path}: it was created.")
        issued = await issue_key(store, _clock.now(), os.urandom, user, admin=admin)
    values = asdict(issued)
    note = "The key is not shown again. Verify the service's webhooks with the secret."
    return Output(values, values, note)


@keys.command(name="list")
async def list_() -> Output:
    """List all keys by their first characters, oldest first."""
    settings = load_and_warn(StoreSettings)
    documents = []
    if not is_new(settings):
        async with open_configured_store(settings) as store:
            documents = [key_document(each) for each in await store.keys.list_all()]
    table = Table(
        "prefix user admin created_at revoked_at",
        map(local_times, documents),
        empty=f"No keys yet in {_name(settings)}: `receiver keys create USER` creates one.",
    )
    return Output(documents, table)


@keys.command()
async def revoke(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="The first characters of the key, or all of it.")
    ],
) -> Output:
    """Revoke the active key with this prefix."""
    if not prefix:
        raise typer.BadParameter("the prefix is empty and would match every key")
    settings = load_and_warn(StoreSettings)
    require_database(settings)
    async with open_configured_store(settings) as store:
        # A whole key can be found only by its hash.
        whole = await store.keys.find(hash_key(prefix))
        try:
            key = await store.keys.revoke(whole.prefix if whole else prefix, _clock.now())
        except NotFound:
            raise Failure(
                f"No active key in {_name(settings)} has that prefix; nothing was revoked."
                " See `receiver keys list`."
            ) from None
    line = f"Revoked {key.prefix} of {key.user}. It stops working within five seconds."
    return Output(key_document(key), line)


@keys.command(name="rotate-secret")
async def rotate(user: UserName) -> Output:
    """Give a user a new signing secret. For 24 hours webhooks are signed with both."""
    settings = load_and_warn(StoreSettings)
    require_database(settings)
    async with open_configured_store(settings) as store:
        try:
            changed = await rotate_secret(store, _clock.now(), os.urandom, user)
        except NotFound:
            raise Failure(
                f"There is no user {user!r} in {_name(settings)}. See `receiver keys list`."
            ) from None
    values = {
        "user": changed.name,
        "secret": changed.secret,
        "previous_secret_until": timestamp(changed.previous_secret_until),
    }
    until = moment(values["previous_secret_until"])
    return Output(values, values | {"previous_secret_until": until})


def _name(settings: StoreSettings) -> str:
    return str(settings.sqlite_path or "the database")
