"""`holds`: submissions that wait because a provider limits our rate, over HTTP."""

from typing import Annotated

import typer

from receiver.cli.command import command
from receiver.cli.output import Output, Table
from receiver.client import AsyncClient

holds = typer.Typer(
    help="List and end holds on submissions. Needs an admin key.", no_args_is_help=True
)


@holds.command(name="list")
@command
async def list_(client: AsyncClient) -> Output:
    """List the current holds on submissions."""
    found = await client.holds()
    table = Table(
        ("provider", "user", "until", "status", "request_id"),
        (
            (each.provider, each.user or "(all)", each.until, each.status_code, each.request_id)
            for each in found.holds
        ),
        empty="No submissions are held.",
    )
    return Output(found, table)


@holds.command()
@command
async def end(
    client: AsyncClient,
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="The provider to submit to again.")
    ],
) -> Output:
    """End a provider's holds: submissions to it continue at once."""
    await client.end_holds(provider)
    return Output({"provider": provider}, f"Submissions to {provider} continue.")
