"""Which requests are refused under load."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from starlette.responses import Response

from receiver.http_api.load_shedding import MAX_AT_ONCE, LoadShedder
from tests.simulation.client import Exchange, scope

EXEMPT = ("/livez", "/readyz", "/metrics", "/v1/events", "/v1/jobs/job_1/events")
OTHERS = (
    *("/events", "/v1/anything/events", "/v1/jobs/events", "/v1/jobs//events", "/livez/", "/"),
    *("/v1/jobs/a/b/events", "/v1/jobs/job_1/events/", "/webhooks/samsar/events", "/x/livez"),
)


class Loaded:
    """An application behind a load shedder, with a store that is busy if a test says so."""

    def __init__(self) -> None:
        self.busy = False
        self.refused: list[Any] = []
        services = SimpleNamespace(
            store=self,
            metrics=SimpleNamespace(count_request=lambda *given: self.refused.append(given[:3])),
        )
        context: Any = SimpleNamespace(services=services)
        self._shedder = LoadShedder(self._serve, context)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)

    async def ask(self, method: str, path: str) -> Exchange:
        exchange = Exchange(b"")
        await self._shedder(scope(method, path, {}), exchange.receive, exchange.send)
        return exchange


async def test_each_iteration_starts_so_many_besides_probes_and_the_two_streams() -> None:
    loaded = Loaded()
    for _ in range(2):
        paths = ("/",) * MAX_AT_ONCE + EXEMPT + OTHERS
        exchanges = await asyncio.gather(*(loaded.ask("GET", path) for path in paths))
        started = MAX_AT_ONCE + len(EXEMPT)
        assert [each.status for each in exchanges] == [200] * started + [503] * len(OTHERS)
        await asyncio.sleep(0)


async def test_while_the_store_is_full_writes_alone_are_refused() -> None:
    loaded = Loaded()
    loaded.busy = True
    refused = await loaded.ask("POST", "/v1/jobs")
    assert refused.status == 503
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["x-request-id"]
    assert json.loads(refused.body)["code"] == "overloaded"
    assert (await loaded.ask("GET", "/v1/jobs")).status == 200
    loaded.busy = False
    assert (await loaded.ask("POST", "/v1/jobs")).status == 200
    assert loaded.refused == [("refused", "POST", 503)]
