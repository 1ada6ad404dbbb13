"""Idempotency keys, which clients send with requests that create a job."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from store.errors import KeyInUse, KeyReused
from store.records.jobs import Job
from store.records.times import Millis
from store.repository import Repository
from store.rows import to_json
from store.session import Row, Session


class IdempotencyKey(NamedTuple):
    """A client's idempotency key for one request."""

    path: str
    key: str
    fingerprint: str
    """A digest of the JSON body, independent of the order of members."""
    sent_at: Millis
    """When the request arrived: a key that expired before that counts as unused."""
    in_use_until: Millis
    """Until then, repeats are refused with 409 while the first request has no response."""
    expires_at: Millis


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The HTTP response as first sent."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """The first request of an idempotency key that was used before."""

    job_id: str
    stored_response: StoredResponse | None
    """None if no response was stored: it is built from the job."""


def take_key(
    session: Session,
    sql: Mapping[str, str],
    job: Job,
    key: IdempotencyKey,
    response: StoredResponse | None,
) -> Replay | None:
    """Take a key for a new job, or return the replay of its first request.

    Raises `KeyReused` and `KeyInUse`.
    """
    in_use_until = key.in_use_until if response is None else None
    given = {**key._asdict(), "user_id": job.user_id, "in_use_until": in_use_until}
    values = {**given, "job_id": job.id, **_response_values(response)}
    if session.execute(sql["write-key"], values).fetchone() is not None:
        return None
    return _replay(session.execute(sql["read-key"], given).fetchone(), key)


class Idempotency(Repository):
    subject = "idempotency"

    async def find(self, user_id: int, key: IdempotencyKey) -> Replay | None:
        """The key's first request; None if the key is unused or expired. Raises as `Jobs.create`
        does."""
        given = {**key._asdict(), "user_id": user_id}
        return await self._find("read-key", lambda row: _replay(row, key), **given)

    async def store_response(self, job_id: str, response: StoredResponse | None) -> None:
        """Store the response to the request that created the job; its key is no longer in use. None
        if the client disconnected: replays are then built from the job."""
        await self._writer.urgent(
            self._run("store-response", job_id=job_id, **_response_values(response)), job_id
        )

    async def remove_expired(self, now: Millis, limit: int) -> int:
        return await self._writer.normal(
            lambda db, _: (
                db.execute(self._sql["remove-expired"], {"now": now, "limit": limit}).rowcount
            )
        )


def _replay(row: Row, key: IdempotencyKey) -> Replay:
    fingerprint, job_id, in_use_until, status_code, headers, body = row
    if fingerprint != key.fingerprint:
        raise KeyReused
    if in_use_until is not None and in_use_until > key.sent_at:
        raise KeyInUse
    if status_code is None:
        return Replay(job_id, None)
    return Replay(job_id, StoredResponse(status_code, json.loads(headers), body))


def _response_values(response: StoredResponse | None) -> dict[str, object]:
    return {
        "status_code": response and response.status_code,
        "headers": response and to_json(dict(response.headers)),
        "body": response and response.body,
    }
