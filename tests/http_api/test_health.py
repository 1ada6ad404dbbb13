"""What operators and their machines ask."""

from pathlib import Path

from tests.http_api.conftest import SHARED_LOOP
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.http_api.scripted_provider import ScriptedProvider
from tests.support.service import RunningService, running_service


@SHARED_LOOP
async def test_a_service_is_alive_and_ready(shared: RunningService) -> None:
    client = shared.client()
    for path in ("/livez", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert (await client.head(path)).status_code == 200


async def test_a_service_that_stops_is_alive_and_not_ready(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async with (
        running_service(tmp_path, **provider.settings()) as service,
        raw_connection(service.url) as connection,
    ):
        await connection.send(request_bytes("GET", "/readyz"))
        assert (await connection.answer()).status_code == 200
        service.inner.begin_stop()
        await connection.send(request_bytes("GET", "/readyz"))
        answer = await connection.answer()
        assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
        await connection.send(request_bytes("GET", "/livez"))
        assert (await connection.answer()).status_code == 200
