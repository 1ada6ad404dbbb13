"""What jobs cost (`GET /v1/spend`), and how budgets stand (`GET /v1/budgets`)."""

from datetime import date, timedelta
from math import ceil, floor

from starlette.requests import Request
from starlette.responses import Response

from receiver.domain.serialization import timestamp
from receiver.http_api import documents, queries
from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.responses import json_response
from store.ledger import SPEND_KEYS, SPLIT_KEYS, Spend, SpendFilter, Standing
from store.records.costs import plain


async def spend(context: ApiContext, request: Request, caller: Caller) -> Response:
    """Sums of the jobs with a price, in the present currency."""
    times = ("created_after", "created_before")
    queries.check_parameters(request, "by", "split", *times, f"{queries.METADATA}KEY", "user")
    by = queries.read_choice(request, "by", SPEND_KEYS) or "day"
    split = queries.read_choice(request, "split", SPLIT_KEYS)
    after = queries.read_time(request, "created_after", floor)
    before = queries.read_time(request, "created_before", ceil)
    metadata = queries.read_metadata(request)
    user_id = await queries.selected_user_or_all(context, request, caller)
    if (prices := context.services.prices) is None:
        return json_response({"currency": None, "rows": []})
    where = SpendFilter(user_id, prices.currency, after, before, metadata)
    rows = await context.services.store.ledger.spend(by, where, split)
    return json_response({"currency": prices.currency, "rows": [*map(_row, rows)]})


async def budgets(context: ApiContext, request: Request, caller: Caller) -> Response:
    """The caller's budget, or those of the users that an admin selects."""
    queries.check_parameters(request, "user")
    user_id = await queries.selected_user_or_all(context, request, caller)
    services = context.services
    if services.prices is None:
        return json_response({"currency": None, "budgets": []})
    currency = services.prices.currency
    standings = await services.store.ledger.standings(user_id, currency, services.clock.now())
    return json_response({"currency": currency, "budgets": [*map(_standing, standings)]})


def _standing(standing: Standing) -> documents.BudgetStanding:
    return {
        "user": standing.user,
        "budget": standing.budget.text,
        "spent": plain(standing.spent),
        "resets_at": timestamp(standing.resets_at),
    }


def _row(spend: Spend) -> documents.SpendRow:
    key = spend.key
    row: documents.SpendRow = {
        "key": key if isinstance(key, str) else str(date(1970, 1, 1) + timedelta(days=key)),
        "jobs": spend.jobs,
        "reserved": plain(spend.reserved),
        "settled": plain(spend.settled),
        "unknown": plain(spend.unknown),
    }
    if spend.split is not None:
        row["split"] = spend.split
    return row
