"""Keys that clients give their creations."""

import json
from collections.abc import Mapping

from store.errors import KeyHeld, KeyReused
from store.records import Answer, IdempotencyKey, Job, Millis, Replay
from store.relational.backend import Backend
from store.relational.rows import to_json
from store.relational.session import Effects, Row, Session


def take_key(
    session: Session,
    sql: Mapping[str, str],
    job: Job,
    key: IdempotencyKey,
    answer: Answer | None,
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
    values = {
        **parameters,
        "fingerprint": key.fingerprint,
        "job_id": job.id,
        "held_until": key.held_until if answer is None else None,
        "expires_at": key.expires_at,
        **_answer_values(answer),
    }
    if session.execute(sql["write-key"], values).fetchone() is not None:
        return None
    row = session.execute(sql["read-key"], parameters).fetchone()
    return _replay(row, key.fingerprint, job.created_at)


class SqlIdempotency:
    """`store.contract.Idempotency`."""

    def __init__(self, backend: Backend) -> None:
        self._writer = backend.writer
        self._readers = backend.readers
        self._sql = backend.statements.load("idempotency")

    async def find(
        self, user_id: int, path: str, key: str, fingerprint: str, now: Millis
    ) -> Replay | None:
        rows = await self._readers.fetch(
            self._sql["read-key"], {"user_id": user_id, "path": path, "key": key, "now": now}
        )
        return _replay(rows[0], fingerprint, now) if rows else None

    async def answered(self, job_id: str, answer: Answer | None) -> None:
        parameters = {"job_id": job_id, **_answer_values(answer)}

        def work(db: Session, _: Effects) -> None:
            db.execute(self._sql["answer"], parameters)

        await self._writer.urgent(work)

    async def end_holds(self) -> None:
        def work(db: Session, _: Effects) -> None:
            db.execute(self._sql["end-holds"])

        await self._writer.background(work)

    async def remove_expired(self, now: Millis, limit: int) -> int:
        return await self._writer.background(
            lambda db, _: (
                db.execute(self._sql["remove-expired"], {"now": now, "limit": limit}).rowcount
            )
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


def _answer_values(answer: Answer | None) -> dict[str, object]:
    if answer is None:
        return {"status_code": None, "headers": None, "body": None}
    return {
        "status_code": answer.status_code,
        "headers": to_json(dict(answer.headers)),
        "body": answer.body,
    }
