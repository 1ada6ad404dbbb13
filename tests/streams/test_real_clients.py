"""Event streams read by third-party clients, through a proxy that cuts what is idle.

Each event has to reach the client before the next one is made, so anything that buffers fails.
"""

import asyncio
from pathlib import Path

from tests.streams.cutting_proxy import cutting_proxy
from tests.streams.scripted_job import COMPLETED, accepted_job
from tests.streams.sse_clients import CLIENT, Command, client

IDLE = 2.0
"""A proxy's idle timeout: four heartbeats here, as with the defaults of 60 s and 15 s.
docs/operating.md asks for at least 20 s."""


@CLIENT
async def test_each_event_reaches_the_client_before_the_next(
    tmp_path: Path, command: Command
) -> None:
    program = command(tmp_path)
    async with (
        accepted_job(tmp_path) as job,
        cutting_proxy(job.service.url, IDLE) as proxy,
        client(program, proxy.url + job.path, job.key) as reading,
    ):
        name, cursor, snapshot = await reading.next()
        assert (name, snapshot["phase"]) == ("snapshot", "accepted")
        seq = snapshot["seq"]
        for progress in (10, 20, 30):
            await job.callback(status="IN_PROGRESS", progress=progress)
            name, later, update = await reading.next()
            seq += 1
            assert (name, update["progress"], update["seq"]) == ("update", progress, seq)
            assert later not in ("-", cursor)
            cursor = later
        # Only heartbeats, for longer than a proxy waits for bytes.
        await asyncio.sleep(1.5 * IDLE)
        assert proxy.cut_idle == 0
        await job.callback(**COMPLETED)
        name, _, update = await reading.next()
        assert (name, update["status"], update["seq"]) == ("update", "COMPLETED", seq + 1)
        name, _, last = await reading.next()
        assert name == "done"
        assert last == {"request_id": job.request_id, "status": "COMPLETED"}
        assert await reading.ended() == 0
