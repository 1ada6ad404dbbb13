"""Three times the load that the service can carry: it refuses in time, loses nothing, and recovers
at once."""

import asyncio
import itertools
import json
import multiprocessing
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.benchmarks import costs
from tests.benchmarks.sender import Exchange, request
from tests.benchmarks.world import Callbacks, fill, key_of, service
from tests.crash.load import closed_loop, open_loop

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(180)]

JOBS = 2_000
TIMES = 3
SECONDS = 8.0
CONNECTIONS = 8_000
"""More requests than may wait in the service, so that the load itself does not wait for answers."""
SUBMISSION_EVERY = 10
"""One in this many requests is a submission; the others are callbacks."""

# Bounds that also hold on a busy machine; the usual figures are far below.
LONGEST_ANSWER = 15.0
RECOVERY = 3.0
MIB = 1024 * 1024
GROWTH = 400
"""MiB that the process may grow by: its queues are bounded, so its memory is too."""


def test_three_times_the_load_is_shed_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    database = tmp_path / "receiver.db"
    url = f"sqlite:///{database}"
    (account,) = asyncio.run(fill(url, 1, jobs=JOBS))
    with (
        service(url, LOG_LEVEL="warning", SUBMIT_TIMEOUT="1") as ours,
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as elsewhere,
    ):
        pids = [ours.process.pid]
        next_request = _mixed(Callbacks(account).next)
        capacity = asyncio.run(closed_loop(ours.port, next_request, 64, 4.0)).rate
        before = costs.resident(pids) // MIB
        sent = [next_request() for _ in range(int(TIMES * capacity * SECONDS))]

        exchanges = elsewhere.submit(
            open_loop, ours.port, sent, TIMES * capacity, CONNECTIONS, LONGEST_ANSWER
        ).result()
        recovery = asyncio.run(closed_loop(ours.port, next_request, 1, 0.0))

        growth = costs.peak(pids) // MIB - before
        assert set(recovery.statuses) <= {200, 202}
        assert recovery.latencies[0] < RECOVERY
        assert growth < GROWTH
        assert max(each.seconds for each in exchanges) < LONGEST_ANSWER
        assert {each.status for each in exchanges} == {200, 202, 503}
        _assert_what_is_kept(database, sent, exchanges)


def _mixed(next_callback: Callable[[], bytes]) -> Callable[[], bytes]:
    count = itertools.count(1)

    def next_request() -> bytes:
        number = next(count)
        if number % SUBMISSION_EVERY:
            return next_callback()
        models = {"image_model": "IMAGEN3", "video_model": "LUMA", "duration": 10}
        body = {"kind": "create_movie", "input": {"prompt": f"cat {number}"} | models}
        headers = f"Content-Type: application/json\r\nAPI-KEY: {key_of(0)}\r\n"
        keyed = f"{headers}Idempotency-Key: k{number}\r\n"
        return request("POST", "/v1/jobs", json.dumps(body).encode(), keyed)

    return next_request


def _assert_what_is_kept(database: Path, sent: list[bytes], exchanges: list[Exchange]) -> None:
    """Everything that was acknowledged is stored, and nothing that was refused."""
    with closing(sqlite3.connect(database)) as db:
        stored = {body for (body,) in db.execute("SELECT body FROM callbacks")}
        jobs = {job_id for (job_id,) in db.execute("SELECT id FROM jobs")}
        keys = {key for (key,) in db.execute("SELECT key FROM idempotency_keys")}
        given = db.execute("SELECT input FROM job_inputs")
        inputs = {json.loads(each)["prompt"] for (each,) in given}
    for whole, exchange in zip(sent, exchanges, strict=True):
        head, _, body = whole.partition(b"\r\n\r\n")
        done = exchange.status != 503
        if b"/webhooks/" in head:
            assert (body in stored) is done, body
            continue
        assert (json.loads(body)["input"]["prompt"] in inputs) is done, body
        key = head.partition(b"Idempotency-Key: ")[2].decode()
        assert (key in keys) is done, head
        if done:
            assert json.loads(exchange.body)["request_id"] in jobs
