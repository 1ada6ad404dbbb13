"""The end of a job's stream: `done` never overtakes the event that finished the job."""

from pathlib import Path

import pytest

from store.records.events import Event
from tests.support.service import running_service, submit


async def test_an_event_that_arrives_just_after_a_read_is_still_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(tmp_path, sandbox_render=60) as service:
        client = await service.user()
        job = await submit(client)
        read = service.store.events.after_for_job

        async def read_and_cancel(job_id: str, seq: int, limit: int) -> list[Event]:
            page = await read(job_id, seq, limit)
            if not page:
                monkeypatch.undo()
                cancelled = await client.post(job["links"]["cancel"])
                assert cancelled.status_code == 202
            return page

        monkeypatch.setattr(service.store.events, "after_for_job", read_and_cancel)
        stream = (await client.get(job["links"]["events"])).text

    *_, last, done, end = stream.split("\n\n")
    assert "event: update" in last
    assert '"status":"CANCELLED"' in last
    assert "event: done" in done
    assert end == ""
