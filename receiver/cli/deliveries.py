"""`deliveries`: the webhooks that the service sends, over HTTP."""

from typing import Annotated, Literal

import typer

from receiver.cli.command import Commands, Cursor, Json, Limit, User
from receiver.cli.errors import FAILED
from receiver.cli.output import Output, Table, local_times
from receiver.client import AsyncClient
from receiver.http_api.documents import Delivery
from store.records.deliveries import DeliveryState

deliveries = Commands(help="List, show, resend and test webhooks.", no_args_is_help=True)

RequestId = Annotated[str | None, typer.Option(help="Only this job.", metavar="REQUEST_ID")]
Host = Annotated[
    str | None, typer.Option(help="Only this host: its name, or name:port.", metavar="HOST")
]


@deliveries.command(name="list")
async def list_(
    client: AsyncClient,
    state: Annotated[DeliveryState | None, typer.Option(help="Only this state.")] = None,
    request_id: RequestId = None,
    host: Host = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    user: User = None,
) -> Output:
    """List deliveries, newest first."""
    page = await client.deliveries(
        state=state, request_id=request_id, host=host, user=user, limit=limit, cursor=cursor
    )
    table = Table(
        "id request_id status state attempts last next_attempt_at created_at user",
        (_row(each, with_user=user is not None) for each in page["deliveries"]),
        empty="No deliveries on this page." if page["next_cursor"] else "No deliveries.",
        texts=("last",),
        next_cursor=page["next_cursor"],
    )
    return Output(page, table)


def _row(delivery: Delivery, *, with_user: bool) -> dict[str, object]:
    attempts = delivery["attempts"]
    last = (attempts[-1]["error"] or attempts[-1]["status_code"]) if attempts else None
    user = delivery["user"] if with_user else None
    return local_times(delivery) | {"attempts": len(attempts), "last": last, "user": user}


@deliveries.command()
async def show(
    client: AsyncClient,
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")],
) -> Output:
    """Show a delivery: its message and all attempts."""
    delivery = await client.delivery(delivery_id)
    attempts = Table(
        "at status_code error duration_ms excerpt",
        (local_times(each, "milliseconds") for each in delivery["attempts"]),
        empty="No attempts yet.",
        texts=("error", "excerpt"),
    )
    facts = local_times(delivery)
    del facts["attempts"]
    return Output(delivery, facts, "", attempts)


@deliveries.command()
async def retry(
    client: AsyncClient,
    delivery_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="A single delivery, in any state but pending."),
    ] = None,
    state: Annotated[
        Literal["exhausted", "disabled"] | None,
        typer.Option(help="All deliveries in this state: given up, or turned off by a 410."),
    ] = None,
    host: Host = None,
    request_id: RequestId = None,
    user: User = None,
) -> Output:
    """Resend one delivery, or all in a state.

    An attempt is made now; if it fails, the schedule begins again.

    \b
    Examples:
      receiver deliveries retry ID
      receiver deliveries retry --state exhausted --host hooks.example.com
    """
    narrower = {"host": host, "request_id": request_id, "user": user}
    if delivery_id is not None and not (state or any(narrower.values())):
        delivery = await client.retry(delivery_id)
        return Output(delivery, f"{delivery['id']} is sent again now.")
    if delivery_id is None and state is not None:
        retried = await client.retry_all(state, **narrower)
        line = f"{retried} queued for resending." if retried else "No matching deliveries."
        return Output({"retried": retried}, line)
    raise typer.BadParameter(
        "use either an ID, or --state (optionally with --host, --request-id, --user)"
    )


@deliveries.command(name="test")
async def send_test(
    client: AsyncClient,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The URL to send it to.")],
    json: Json = False,
) -> None:
    """Have the service send a signed test message, and show the answer.

    Exits with 1 if your endpoint did not accept it.
    """
    outcome = await client.test_webhook(endpoint)
    Output(outcome, outcome).print(json=json)
    if not 200 <= (outcome["status_code"] or 0) < 300:
        raise typer.Exit(FAILED)
