"""Places at the providers (`GET /v1/places`)."""

from collections import defaultdict

from starlette.requests import Request
from starlette.responses import Response

from receiver.http_api.auth import Caller
from receiver.http_api.context import ApiContext
from receiver.http_api.queries import check_parameters, selected_user_or_all
from receiver.http_api.responses import json_response
from store.places import UsersJobs


async def list_places(context: ApiContext, request: Request, caller: Caller) -> Response:
    """How many jobs are in flight and wait at each provider, and those of a user."""
    check_parameters(request, "user")
    user_id = await selected_user_or_all(context, request, caller)
    services, by_provider = context.services, defaultdict[str, list[UsersJobs]](list)
    for each in await services.store.places.by_user():
        by_provider[each.provider].append(each)
    documents = [
        {
            "provider": provider,
            "limit": services.rules.jobs_in_flight.get(provider),
            "in_flight": sum(each.in_flight for each in by_provider[provider]),
            "waiting": sum(each.waiting for each in by_provider[provider]),
            "users": [
                {"user": each.user, "in_flight": each.in_flight, "waiting": each.waiting}
                for each in by_provider[provider]
                if user_id in (None, each.user_id)
            ],
        }
        for provider in services.providers
    ]
    return json_response({"places": documents})
