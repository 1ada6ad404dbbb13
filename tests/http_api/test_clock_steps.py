"""The machine's clock is set back, and jobs that come after that do not wait for it."""

from pathlib import Path

from tests.http_api.relay_sink import relay_sink
from tests.support.service import ShiftedClock, job_when, running_service, submit

BACK_MS = 3_600_000


async def test_after_the_clock_was_set_back_a_job_is_not_delayed(tmp_path: Path) -> None:
    clock = ShiftedClock()
    async with (
        relay_sink() as sink,
        running_service(
            tmp_path, clock=clock, relay_allow_http=True, relay_allow_nets="127.0.0.0/8"
        ) as service,
    ):
        client = await service.user()
        before = await submit(client)
        await job_when(client, before["request_id"], status="COMPLETED")

        clock.ahead_ms = -BACK_MS
        after = await submit(client, webhookUrl=sink.url, webhookEvents=["COMPLETED"])
        done = await job_when(client, after["request_id"], status="COMPLETED")

        assert after["request_id"] > before["request_id"]
        assert done["created_at"] >= before["created_at"], "ids only grow, and it is the id's time"
        await sink.arrived(1)
