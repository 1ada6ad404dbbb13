"""`budgets` works on the store, also while the service runs; `spend` asks the service."""

from typing import Annotated, Final, Literal

import typer

from receiver.cli.common import (
    Json,
    User,
    configured_store,
    coroutine,
    load_and_warn,
    require_database,
    service,
)
from receiver.cli.errors import USAGE, Failure
from receiver.cli.keys import UserName
from receiver.cli.output import Table, emit, money
from receiver.clock import SystemClock
from receiver.config.settings import StoreSettings
from store.errors import NotFound
from store.records.costs import Budget

STATES: Final = ("reserved", "settled", "unknown")

budgets = typer.Typer(help="Set and list what users may spend.", no_args_is_help=True)


@budgets.command(name="set")
@coroutine
async def set_(
    user: UserName,
    budget: Annotated[
        str,
        typer.Argument(
            metavar="AMOUNT/PERIOD", help="Such as 50/day, 2.50/hour or 900/month; none removes it."
        ),
    ],
    json: Json = False,
) -> None:
    """Set what a user may spend per hour, day or month.

    These are calendar periods in UTC. It counts from the next submission on.
    """
    try:
        read = None if budget == "none" else Budget.read(budget)
    except ValueError as error:
        raise Failure(f"{error}.", status=USAGE) from None
    settings = load_and_warn(StoreSettings)
    require_database(settings)
    async with configured_store(settings) as store:
        try:
            await store.ledger.set_budget(user, read, SystemClock().now())
        except NotFound:
            raise Failure(f"There is no user {user!r}. See `receiver keys list`.") from None
    document = {"user": user, "budget": read and read.text}
    emit(json, document, f"{user}: {read.text}" if read else f"{user} has no budget.")


@budgets.command(name="list")
@coroutine
async def list_(json: Json = False) -> None:
    """List the budgets."""
    settings = load_and_warn(StoreSettings)
    require_database(settings)
    async with configured_store(settings) as store:
        found = await store.ledger.list_budgets()
    documents = [{"user": user, "budget": budget} for user, budget in found]
    emit(json, documents, Table("user budget", documents, "No user has a budget."))


@coroutine
async def spend(
    by: Annotated[
        Literal["day", "kind", "provider", "user"], typer.Option(help="A row for each of these.")
    ] = "day",
    user: User = None,
    json: Json = False,
) -> None:
    """Show what jobs cost, by the state of their costs."""
    async with service() as client:
        document = await client.spend(by=by, user=user)
    if (currency := document["currency"]) is None:
        emit(json, document, "The service has no prices (RECEIVER_PRICES).")
        return
    rows = [
        {by: row["key"], "jobs": row["jobs"], "currency": currency}
        | {state: money(row[state], currency) for state in STATES}
        for row in document["rows"]
    ]
    emit(json, document, Table(f"{by} jobs {' '.join(STATES)} currency", rows, _no_price(user)))


def _no_price(user: str | None) -> str:
    if user is None:
        return "No job of yours has a price. With an admin key, --user '*' shows all users' jobs."
    whose = "any user" if user == "*" else repr(user)
    return f"No job of {whose} has a price."
