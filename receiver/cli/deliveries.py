"""`deliveries`: the webhooks that the service sends, over HTTP."""

from typing import Annotated

import typer

from receiver.cli import output
from receiver.cli.loop import run
from receiver.cli.opened import ApiKey, Cursor, Json, Limit, Url, User, the_service
from receiver.client import Attempt

deliveries = typer.Typer(
    help="List the webhooks to users, and send one again.", no_args_is_help=True
)


def add_to(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(deliveries, name="deliveries")


@deliveries.command(name="list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="pending, delivered, skipped, exhausted or disabled.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    user: User = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List deliveries, newest first."""

    async def work() -> None:
        async with the_service(url, api_key) as client:
            page = await client.deliveries(state=state, user=user, limit=limit, cursor=cursor)
        if json:
            output.as_json(page.model_dump(mode="json"))
            return
        output.table(
            ("id", "request_id", "status", "state", "attempts", "last", "next", "created"),
            (
                (
                    each.id,
                    each.request_id,
                    each.status,
                    each.state,
                    len(each.attempts),
                    _ending(each.attempts),
                    output.moment(each.next_attempt_at),
                    output.moment(each.created_at),
                )
                for each in page.deliveries
            ),
        )
        output.more(page.next_cursor)

    run(work())


def _ending(attempts: list[Attempt]) -> str | int | None:
    """How the last attempt ended."""
    return (attempts[-1].error or attempts[-1].status_code) if attempts else None


@deliveries.command()
def retry(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")],
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Send a delivery again at once, whatever became of it."""

    async def work() -> None:
        async with the_service(url, api_key) as client:
            delivery = await client.retry(delivery_id)
        if json:
            output.as_json(delivery.model_dump(mode="json"))
        else:
            output.say(f"{delivery.id} {delivery.state}")

    run(work())
