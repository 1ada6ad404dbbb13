"""`holds`: submissions that wait because a provider limits our rate, over HTTP."""

from typing import Annotated

import typer

from receiver.cli.command import Commands
from receiver.cli.errors import Failure
from receiver.cli.output import Output, Table, moment
from receiver.client import ApiError, AsyncClient

holds = Commands(
    help="List and end holds on submissions. Needs an admin key.", no_args_is_help=True
)


@holds.command(name="list")
async def list_(client: AsyncClient) -> Output:
    """List the current holds on submissions. Needs an admin key."""
    document = await client.holds()
    table = Table(
        "provider user until status_code request_id",
        (
            {**hold, "user": hold["user"] or "(all)", "until": moment(hold["until"])}
            for hold in document["holds"]
        ),
        empty="No submissions are held.",
    )
    return Output(document, table)


@holds.command()
async def end(
    client: AsyncClient,
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="The provider to submit to again.")
    ],
) -> Output:
    """End a provider's holds: submissions continue at once. Needs an admin key."""
    try:
        await client.end_holds(provider)
    except ApiError as error:
        if error.code != "not_found":
            raise
        raise Failure(f"The service does not run the provider {provider!r}.") from None
    return Output({"provider": provider}, f"Submissions to {provider} continue.")
