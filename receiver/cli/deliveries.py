"""`deliveries`: the webhooks that the service sends, over HTTP."""

from typing import Annotated, Literal

import typer

from receiver.cli.common import Cursor, Json, Limit, User, coroutine, service
from receiver.cli.output import Table, emit, local_times
from receiver.http_api.documents import Delivery
from store.records.deliveries import DeliveryState

Host = Annotated[
    str | None, typer.Option(help="Only this host: its name, or name:port.", metavar="HOST")
]

deliveries = typer.Typer(help="List, show and resend webhooks.", no_args_is_help=True)


@deliveries.command(name="list")
@coroutine
async def list_(
    state: Annotated[DeliveryState | None, typer.Option(help="Only this state.")] = None,
    request_id: Annotated[
        str | None, typer.Option(help="Only this job.", metavar="REQUEST_ID")
    ] = None,
    host: Host = None,
    failing: Annotated[
        bool, typer.Option("--failing", help="Only those pending after a failed attempt.")
    ] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    user: User = None,
    json: Json = False,
) -> None:
    """List deliveries, newest first."""
    async with service() as client:
        page = await client.deliveries(
            state=state,
            request_id=request_id,
            host=host,
            failing=failing,
            user=user,
            limit=limit,
            cursor=cursor,
        )
    rows = []
    for each in page["deliveries"]:
        last = each["attempts"][-1] if each["attempts"] else None
        said = last and (last["error"] or last["status_code"])
        shown = {
            "state": _state(each),
            "attempts": f"{len(each['attempts'])} of {each['max_attempts']}",
            "last": said,
        }
        rows.append(local_times(each) | shown)
    columns = "user " * (user is not None)
    columns += "id type host state last attempts next_attempt_at created_at request_id"
    emit(json, page, Table(columns, rows, "No deliveries.", page["next_cursor"]))


def _state(delivery: Delivery) -> str:
    if delivery["paused"]:
        return "host paused"
    return "failing" if delivery["failing"] else delivery["state"]


@deliveries.command()
@coroutine
async def show(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")],
    json: Json = False,
) -> None:
    """Show a delivery: its message and all attempts."""
    async with service() as client:
        delivery = await client.delivery(delivery_id)
    rows = (local_times(each, "milliseconds") for each in delivery["attempts"])
    attempts = Table("at status_code error duration_ms excerpt", rows, "No attempts yet.")
    emit(json, delivery, local_times(delivery) | {"attempts": None}, "", attempts)


@deliveries.command()
@coroutine
async def retry(
    delivery_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="A single delivery.")
    ] = None,
    state: Annotated[
        Literal["exhausted", "disabled", "pending"] | None,
        typer.Option(help="All deliveries in this state."),
    ] = None,
    host: Host = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Resend one delivery, or all in a state.

    An attempt is made now; if it fails, the schedule begins again.

    \b
    Examples:
      receiver deliveries retry ID
      receiver deliveries retry --state exhausted --host hooks.example.com
    """
    if (delivery_id is None) == (state is None) or (delivery_id is not None and (host or user)):
        raise typer.BadParameter("use either an ID, or --state (optionally with --host, --user)")
    async with service() as client:
        if state is not None:
            retried = await client.retry_all(state, host=host, user=user)
            line = f"{retried} queued for resending." if retried else "No matching deliveries."
            emit(json, {"retried": retried}, line)
        elif delivery_id is not None:
            delivery = await client.retry(delivery_id)
            emit(json, delivery, f"{delivery['id']} is sent again now.")
