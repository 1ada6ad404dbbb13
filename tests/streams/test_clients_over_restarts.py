"""Streams across restarts of the service: no client misses an event or sees a false one."""

import asyncio
from pathlib import Path

from tests.streams.scripted_job import COMPLETED, HEARTBEAT, accepted_job
from tests.streams.sse_clients import CLIENT, Command, eventsource, follower


@CLIENT
async def test_a_restart_is_no_event_and_loses_none(tmp_path: Path, command: Command) -> None:
    program = command(tmp_path)
    async with accepted_job(tmp_path) as job:
        async with follower(program, job.service.url + job.path, job.key) as reading:
            name, _, snapshot = await reading.next()
            assert name == "snapshot"

            await job.restart()  # without a new event
            await job.read_by(1)
            await asyncio.sleep(2 * HEARTBEAT)
            await job.callback(status="IN_PROGRESS", progress=10)
            name, _, update = await reading.next()
            assert (name, update["progress"], update["seq"]) == ("update", 10, snapshot["seq"] + 1)

            await job.restart()  # with an event before the client reconnects
            await job.callback(**COMPLETED)
            name, _, update = await reading.next()
            assert (name, update["status"]) == ("update", "COMPLETED")
            assert update["seq"] == snapshot["seq"] + 2
            name, _, last = await reading.next()
            assert (name, last["status"]) == ("done", "COMPLETED")
        assert command is not eventsource or reading.starts == 1
