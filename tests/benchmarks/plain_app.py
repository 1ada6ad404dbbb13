"""The baseline of `lives`: what a good developer writes in a day for the same job.
`python -m tests.benchmarks.plain_app PORT DATABASE PROVIDER_URL KEY=USER …`

It keeps its jobs in SQLite (WAL, synchronous=NORMAL, a commit for each change), calls the provider
from 32 workers over one shared client with keep-alive connections, and feeds each stream through a
queue. It has an access log.

It leaves out the rest: it trusts a callback without asking the provider, and anybody who can
guess a job's id can send one; submissions that are pending at a stop are lost; a failed submission
is not retried; there is no polling for lost callbacks; a repeated request makes a second job; a
stream cannot be resumed, and a slow reader fills the memory; a job's history is not kept; there are
no webhooks; nothing limits the queues.
"""

import asyncio
import json
import logging
import secrets
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORKERS = 32
HEARTBEAT = 15
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    kind TEXT NOT NULL,
    input TEXT NOT NULL,
    status TEXT NOT NULL,
    progress REAL,
    result TEXT,
    provider_request_id TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_user ON jobs (user, created_at);
"""
log = logging.getLogger("plain_app")


class Jobs:
    """The table of jobs."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def create(self, user: str, kind: str, job_input: dict[str, Any]) -> dict[str, Any]:
        now = time.time()
        return await self._write(
            "INSERT INTO jobs (id, user, kind, input, status, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, 'PENDING', ?, ?) RETURNING *",
            (uuid.uuid4().hex, user, kind, json.dumps(job_input), now, now),
        )

    async def get(self, job_id: str) -> dict[str, Any]:
        rows = await self._db.execute_fetchall("SELECT * FROM jobs WHERE id = ?", (job_id,))
        for row in rows:
            return dict(row)
        raise HTTPException(404, "no such job")

    async def submitted(self, job_id: str, provider_request_id: str) -> dict[str, Any]:
        return await self._write(
            "UPDATE jobs SET provider_request_id = ?, updated_at = ? WHERE id = ? RETURNING *",
            (provider_request_id, time.time(), job_id),
        )

    async def change(
        self, job_id: str, status: str, progress: float | None, result: dict[str, Any] | None
    ) -> dict[str, Any]:
        return await self._write(
            "UPDATE jobs SET status = ?, progress = ?, result = ?, updated_at = ?"
            " WHERE id = ? RETURNING *",
            (status, progress, result and json.dumps(result), time.time(), job_id),
        )

    async def _write(self, sql: str, values: tuple[Any, ...]) -> dict[str, Any]:
        rows = list(await self._db.execute_fetchall(sql, values))
        await self._db.commit()
        if not rows:
            raise HTTPException(404, "no such job")
        return dict(rows[0])


class Streams:
    """The open streams of each user."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, set[asyncio.Queue[dict[str, Any]]]] = defaultdict(set)

    def publish(self, job: dict[str, Any]) -> None:
        for queue in self._queues[job["user"]]:
            queue.put_nowait(job)

    async def follow(self, user: str) -> AsyncIterator[str]:
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._queues[user].add(queue)
        try:
            yield "retry: 2000\n\n"
            while True:
                try:
                    job = await asyncio.wait_for(queue.get(), HEARTBEAT)
                except TimeoutError:
                    yield ":\n\n"
                else:
                    yield f"event: update\ndata: {json.dumps(document(job))}\n\n"
        finally:
            self._queues[user].discard(queue)


def document(job: dict[str, Any]) -> dict[str, Any]:
    """A job as its user sees it."""
    return {
        "request_id": job["id"],
        "kind": job["kind"],
        "status": job["status"],
        "progress": job["progress"],
        "result": job["result"] and json.loads(job["result"]),
        "created_at": job["created_at"],
        "updated_at": job["updated_at"],
    }


def make_app(database: str, provider_url: str, own_url: str, keys: dict[str, str]) -> Starlette:
    streams = Streams()
    to_submit: asyncio.Queue[str] = asyncio.Queue()

    def user_of(request: Request) -> str:
        given = request.headers.get("API-KEY", "")
        for key, user in keys.items():
            if secrets.compare_digest(key, given):
                return user
        raise HTTPException(401, "unknown key")

    async def create(request: Request) -> Response:
        user = user_of(request)
        body = await request.json()
        job = await request.app.state.jobs.create(user, body["kind"], body["input"])
        streams.publish(job)
        to_submit.put_nowait(job["id"])
        return JSONResponse(document(job), 202)

    async def webhook(request: Request) -> Response:
        body = await request.json()
        link = body.get("videoUrl")
        job = await request.app.state.jobs.change(
            request.path_params["job_id"],
            body["status"],
            body.get("progress"),
            {"videoUrl": link} if link else None,
        )
        streams.publish(job)
        return JSONResponse({"status": "accepted"})

    async def events(request: Request) -> Response:
        return StreamingResponse(
            streams.follow(user_of(request)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache"},
        )

    async def submit(jobs: Jobs, client: httpx.AsyncClient) -> None:
        while True:
            job_id = await to_submit.get()
            try:
                job = await jobs.get(job_id)
                answer = await client.post(
                    job["kind"],
                    json={
                        "input": json.loads(job["input"]),
                        "webhookUrl": f"{own_url}/webhooks/{job_id}",
                    },
                )
                answer.raise_for_status()
                streams.publish(await jobs.submitted(job_id, answer.json()["request_id"]))
            except Exception:  # whatever failed, the worker continues
                log.exception("job %s was not submitted", job_id)
                streams.publish(await jobs.change(job_id, "FAILED", None, None))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with (
            aiosqlite.connect(database) as db,
            httpx.AsyncClient(base_url=provider_url, timeout=60) as client,
        ):
            db.row_factory = aiosqlite.Row
            await db.execute("PRAGMA journal_mode = WAL")
            await db.execute("PRAGMA synchronous = NORMAL")
            await db.executescript(SCHEMA)
            app.state.jobs = Jobs(db)
            workers = [asyncio.create_task(submit(app.state.jobs, client)) for _ in range(WORKERS)]
            yield
            for worker in workers:
                worker.cancel()

    return Starlette(
        routes=[
            Route("/v1/jobs", create, methods=["POST"]),
            Route("/v1/events", events),
            Route("/webhooks/{job_id}", webhook, methods=["POST"]),
        ],
        lifespan=lifespan,
    )


def main(port: str, database: str, provider_url: str, *keys: str) -> None:
    app = make_app(
        str(Path(database)),
        provider_url,
        f"http://127.0.0.1:{port}",
        dict(each.split("=") for each in keys),
    )
    uvicorn.run(app, port=int(port), http="httptools", loop="uvloop", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
