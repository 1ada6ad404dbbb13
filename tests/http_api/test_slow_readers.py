"""Readers of event streams that read slowly, or not at all."""

from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.event_stream import event_stream


async def send_long_progress(job: AcceptedJob, number: int) -> None:
    """Send progress with 8,000 letters that take six times as many bytes in ASCII."""
    long = {"status": "IN_PROGRESS", "message": f"{number}:" + "é" * 8_000}
    await job.send(long | {"progress": number / 2})
    await job.wait_for(progress=number / 2)  # otherwise two may become one event


async def test_a_slow_reader_misses_nothing(job: AcceptedJob) -> None:
    """It reads nothing while more is written than all buffers in between hold."""
    async with event_stream(job.client, "/v1/events") as stream:
        (snapshot,) = await stream.events(1)
        for number in range(150):
            await send_long_progress(job, number)
        await job.cancel()
        updates = await stream.until(lambda frame: bool(frame.data and frame.data["done"]))
    first = snapshot.data["jobs"][0]["seq"] + 1
    assert [frame.data["seq"] for frame in updates] == [*range(first, first + 151)]
    assert sum(len(frame.raw) for frame in updates) > 6_000_000
