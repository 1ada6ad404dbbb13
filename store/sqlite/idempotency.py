"""Keys that clients give their creations."""

import json
import sqlite3

from store.contract import Changes
from store.errors import KeyHeld, KeyReused
from store.records import Answer, IdempotencyKey, Job, Millis, Replay
from store.sqlite import sql
from store.sqlite.readers import Readers, Row
from store.sqlite.rows import to_json
from store.sqlite.writer import Writer

_SQL = sql.load("idempotency")


def take_key(
    db: sqlite3.Connection, job: Job, key: IdempotencyKey, answer: Answer | None
) -> Replay | None:
    """Take a key for a job that is being created, or say what it leads to.

    Raises `KeyReused` and `KeyHeld`.
    """
    parameters = {
        "user_id": job.user_id,
        "path": key.path,
        "key": key.key,
        "now": job.created_at,
    }
    row = db.execute(_SQL["read-key"], parameters).fetchone()
    if row is not None:
        return _replay(row, key.fingerprint, job.created_at)
    db.execute(
        _SQL["write-key"],
        (
            job.user_id,
            key.path,
            key.key,
            key.fingerprint,
            job.id,
            key.held_until if answer is None else None,
            key.expires_at,
            *_answer_values(answer),
        ),
    )
    return None


class SqliteIdempotency:
    """`store.contract.Idempotency` on SQLite."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def find(
        self, user_id: int, path: str, key: str, fingerprint: str, now: Millis
    ) -> Replay | None:
        rows = await self._readers.fetch(
            _SQL["read-key"], {"user_id": user_id, "path": path, "key": key, "now": now}
        )
        return _replay(rows[0], fingerprint, now) if rows else None

    async def answered(self, user_id: int, path: str, key: str, answer: Answer | None) -> None:
        status_code, headers, body = _answer_values(answer)
        parameters = {
            "user_id": user_id,
            "path": path,
            "key": key,
            "status_code": status_code,
            "headers": headers,
            "body": body,
        }

        def work(db: sqlite3.Connection, _changes: Changes) -> None:
            db.execute(_SQL["answer"], parameters)

        await self._writer.urgent(work)

    async def free(self, user_id: int, path: str, key: str) -> None:
        def work(db: sqlite3.Connection, _changes: Changes) -> None:
            db.execute(_SQL["free"], {"user_id": user_id, "path": path, "key": key})

        await self._writer.urgent(work)

    async def end_holds(self) -> None:
        def work(db: sqlite3.Connection, _changes: Changes) -> None:
            db.execute(_SQL["end-holds"])

        await self._writer.background(work)

    async def remove_expired(self, now: Millis, limit: int) -> int:
        return await self._writer.background(
            lambda db, _: db.execute(_SQL["remove-expired"], {"now": now, "limit": limit}).rowcount
        )


def _replay(row: Row, fingerprint: str, now: Millis) -> Replay:
    kept, job_id, held_until, status_code, headers, body = row
    if kept != fingerprint:
        raise KeyReused
    if held_until is not None and held_until > now:
        raise KeyHeld
    if status_code is None:
        return Replay(job_id, None)
    return Replay(job_id, Answer(status_code, json.loads(headers), body))


def _answer_values(answer: Answer | None) -> tuple[int | None, str | None, bytes | None]:
    if answer is None:
        return None, None, None
    return answer.status_code, to_json(dict(answer.headers)), answer.body
