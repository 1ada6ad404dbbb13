"""SIGKILL at random moments: under jobs, with a provider at its worst, and under five hundred
streams."""

import asyncio
import contextlib
import itertools
import random
from pathlib import Path

import httpx
import pytest

from tests.benchmarks.world import SECRET, Callbacks, fill
from tests.crash.followers import Follower, following
from tests.crash.processes import Service, caller
from tests.crash.random_kills import killed_under_load
from tests.crash.world import FINISH_TIMEOUT
from tests.support.service import eventually

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(600)]

ROUNDS = 50
USERS, STREAMS, KILLS = 10, 50, 20


async def test_fifty_kills_under_load_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    """`judge.py` checks it at the end, for every job."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"\nseed {seed}")

    tally, _ = await killed_under_load(tmp_path, ROUNDS, seed)

    # Each time it died, enough was under way that something could have been lost.
    assert tally.jobs > ROUNDS
    assert tally.callbacks > ROUNDS / 2
    assert tally.streams > ROUNDS
    # Only a callback can resolve what a kill leaves unknown.
    assert tally.unknown < tally.jobs / 4


async def test_streams_resume_through_twenty_kills(tmp_path: Path) -> None:
    settings = {
        "SECRET_KEYS": SECRET,
        "PROVIDER": "samsar",
        "SAMSAR_API_KEY": "none",
        "SAMSAR_BASE_URL": "http://127.0.0.1:9/",
        "POLL_FIRST": "3600",
        "POLL_MIN": "3600",
        "POLL_MAX": "3600",
        "LOG_LEVEL": "error",
    }
    async with Service(tmp_path, settings) as service:
        users = await fill(f"sqlite:///{service.database}", USERS, jobs=20)
        followers = [Follower(service.port, user.key) for user in users for _ in range(STREAMS)]
        published = 0

        async def publish() -> None:
            nonlocal published
            async with caller(service) as client:
                for callbacks in itertools.cycle(map(Callbacks, users)):
                    await _post(client, *callbacks.parts())
                    published += 1

        await service.start()
        async with following(followers):
            await eventually(lambda: _seqs(followers), all, timeout=FINISH_TIMEOUT)
            publishing = asyncio.create_task(publish())
            for _ in range(KILLS):
                await asyncio.sleep(random.uniform(0.3, 1.5))
                await service.kill()
                await service.start()
            publishing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await publishing

            async def behind() -> int:
                """How many followers lack events that a new client's snapshot includes."""
                ends = {user.key: await _latest(service, user.key) for user in users}
                return sum(follower.seq < ends[follower.key] for follower in followers)

            await eventually(behind, lambda count: count == 0, timeout=FINISH_TIMEOUT)

        for follower in followers:
            assert follower.seqs == [*range(follower.first + 1, follower.seq + 1)]
        resumes = sum(follower.connections - 1 for follower in followers)
        events = sum(len(follower.seqs) for follower in followers)
        print(
            f"\n{KILLS} kills, {resumes} resumes, {published} callbacks, {events} events;"
            " lost 0, twice 0, out of order 0"
        )
        assert resumes >= KILLS * len(followers) / 2
        assert min(events, published) > 0


async def _seqs(followers: list[Follower]) -> list[int]:
    return [follower.seq for follower in followers]


async def _post(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    """Send the callback until it is answered; the provider would send it once."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await client.post(path, content=body)
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                return
        await asyncio.sleep(0.02)


async def _latest(service: Service, key: str) -> int:
    """The `seq` of the user's last event, from a new client's snapshot."""
    late = Follower(service.port, key)
    reading = asyncio.create_task(late.follow())
    await eventually(lambda: _seqs([late]), all)
    reading.cancel()
    return late.seq
