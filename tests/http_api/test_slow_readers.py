"""Readers of event streams that take what comes slowly, or not at all."""

import pytest

from receiver.server import connection as server_connection
from tests.http_api.accepted_job import AcceptedJob
from tests.http_api.event_stream import event_stream
from tests.http_api.raw_http import raw_connection, request_bytes
from tests.support.service import RunningService, eventually, metric


async def send_long_progress(job: AcceptedJob, number: int) -> None:
    """One more event of 8,000 letters, that six times as many bytes of ASCII tell."""
    long = {"status": "IN_PROGRESS", "message": f"{number}:" + "é" * 8_000}
    await job.send(long | {"progress": number / 2})
    await job.when(progress=number / 2)  # else two may become one event


async def test_a_slow_reader_misses_nothing(job: AcceptedJob) -> None:
    """It takes nothing while more is written than any buffer between us holds."""
    async with event_stream(job.client, "/v1/events") as stream:
        (snapshot,) = await stream.events(1)
        for number in range(150):
            await send_long_progress(job, number)
        await job.cancel()
        updates = await stream.until(lambda frame: bool(frame.data and frame.data["done"]))
    first = snapshot.data["jobs"][0]["seq"] + 1
    assert [frame.data["seq"] for frame in updates] == [*range(first, first + 151)]
    assert sum(len(frame.raw) for frame in updates) > 6_000_000


async def test_a_reader_that_takes_nothing_is_cut_off(
    service: RunningService, job: AcceptedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "STALLED_SECONDS", 0.5)

    async def open_streams() -> float:
        return await metric(service, "receiver_streams_open")

    async with raw_connection(service.url) as deaf:
        key = job.client.headers["API-KEY"]
        await deaf.send(request_bytes("GET", "/v1/events", API_KEY=key))
        await deaf.until(b"event: snapshot")
        with deaf.deaf():
            for n in range(190):  # fewer callbacks than a job keeps, and more than the kernel does
                if not await open_streams():
                    break
                await send_long_progress(job, n)
            await eventually(open_streams, lambda streams: streams == 0)
