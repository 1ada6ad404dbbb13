"""A restarted sandbox continues its jobs, as a real provider would."""

from pathlib import Path

import httpx

from receiver.clock import SystemClock
from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.journal import open_journal
from receiver.sandbox.run import sandbox
from tests.sandbox.conftest import SAMSAR
from tests.support.service import MOVIE

RULES = SandboxRules(render_seconds=0.2)
KEY = {"API-KEY": "any"}


async def test_jobs_links_and_port_survive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.jsonl"

    async with httpx.AsyncClient(headers=KEY, trust_env=False) as http:
        async with sandbox(RULES, SystemClock(), SAMSAR, journal_path=path) as first:
            made = await http.post(f"{first}/v1/video/create_movie", json={"input": MOVIE})
            request_id = made.json()["request_id"]
        with path.open("a") as file:
            file.write('[1, "create_mo')  # as if killed while it wrote
        async with sandbox(RULES, SystemClock(), SAMSAR, journal_path=path) as second:
            assert second == first
            while True:
                asked = await http.get(
                    f"{second}/v1/video/status", params={"request_id": request_id}
                )
                if asked.json()["status"] == "COMPLETED":
                    break
            opened = await http.get(asked.json()["result"]["videoUrl"])
            assert opened.headers["content-type"] == "video/webm"
            another = await http.post(f"{second}/v1/video/create_movie", json={"input": MOVIE})
            assert another.json()["request_id"] != request_id


def test_jobs_with_expired_results_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.jsonl"
    path.write_text('{"seed": 7, "port": 1}\n[0, "create_movie", {}, null, 0]\n')
    journal = open_journal(path, None, now=9 * 24 * 3600 * 1000)
    journal.close()
    assert (journal.seed, journal.port, journal.jobs) == (7, 1, [])
