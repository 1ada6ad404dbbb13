"""`keys`: users and their API keys, in the store, beside a running service."""

import os
from typing import Annotated

import typer

from receiver.actions.issue_key import hash_key, issue_key
from receiver.actions.rotate_secret import rotate_secret
from receiver.cli import output
from receiver.cli.exits import Failure
from receiver.cli.loop import run
from receiver.cli.opened import Json, the_store
from receiver.clock import SystemClock
from receiver.domain.announcements import timestamp
from store.errors import NotFound

UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
_clock = SystemClock()


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(keys, name="keys")


@keys.command()
def create(
    user: UserName,
    admin: Annotated[bool, typer.Option("--admin", help="A key that reads every user's.")] = False,
    json: Json = False,
) -> None:
    """Make a key for a user, who is made too where the name is new. The key is shown once."""

    async def work() -> None:
        async with the_store() as store:
            issued = await issue_key(store, _clock.now(), os.urandom, user, admin=admin)
        told = {
            "user": issued.user,
            "key": issued.key,
            "secret": issued.secret,
            "prefix": issued.prefix,
        }
        if json:
            output.as_json(told)
        else:
            output.fields(told.items())
            output.say("The key is not shown again; the secret checks the webhooks that we send.")

    run(work())


@keys.command(name="list")
def list_(json: Json = False) -> None:
    """List every key, by its first characters, oldest first."""

    async def work() -> None:
        async with the_store() as store:
            found = await store.keys.list_all()
        if json:
            output.as_json(
                [
                    {
                        "prefix": key.prefix,
                        "user": key.user,
                        "admin": key.admin,
                        "created_at": timestamp(key.created_at),
                        "revoked_at": timestamp(key.revoked_at),
                    }
                    for key in found
                ]
            )
        else:
            output.table(
                ("prefix", "user", "admin", "created", "revoked"),
                (
                    (
                        key.prefix,
                        key.user,
                        key.admin,
                        output.moment(key.created_at),
                        output.moment(key.revoked_at),
                    )
                    for key in found
                ),
            )

    run(work())


@keys.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The key's first characters, or all of it.")],
) -> None:
    """Revoke the one key in force that begins so."""
    if not prefix:
        raise typer.BadParameter("the prefix is empty, and would fit every key")

    async def work() -> None:
        async with the_store() as store:
            # A whole key is known by its hash alone.
            whole = await store.keys.find(hash_key(prefix))
            try:
                key = await store.keys.revoke(whole.prefix if whole else prefix, _clock.now())
            except NotFound:
                raise Failure(
                    "No key in force begins so; none was revoked. `receiver keys list` shows them."
                ) from None
        output.say(f"{key.prefix} of {key.user} is revoked, within five seconds everywhere.")

    run(work())


@keys.command(name="rotate-secret")
def rotate(user: UserName, json: Json = False) -> None:
    """Give a user a new signing secret; the old one goes on signing for 24 hours."""

    async def work() -> None:
        async with the_store() as store:
            try:
                changed = await rotate_secret(store, _clock.now(), os.urandom, user)
            except NotFound:
                raise Failure(
                    f"There is no user {user!r}; `receiver keys list` shows them."
                ) from None
        until = timestamp(changed.previous_secret_until)
        told = {"user": changed.name, "secret": changed.secret, "previous_secret_until": until}
        if json:
            output.as_json(told)
        else:
            output.fields(told.items())

    run(work())
