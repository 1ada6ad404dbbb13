"""Stores first answers with their Idempotency-Keys, later if the store fails."""

import structlog

from store.errors import StoreUnavailable
from store.idempotency import Idempotency, StoredResponse

MAX_UNSTORED = 500
"""Maximum number of answers remembered. The key of any other is in use until its wait is over, and
its replays are built from the job."""

log = structlog.get_logger()


class UnstoredAnswers:
    """Answers to store. In memory only: a start ends the use of all keys of a SQLite database; with
    PostgreSQL, they are in use until their wait is over."""

    def __init__(self, keys: Idempotency) -> None:
        self._keys = keys
        self._answers: dict[str, StoredResponse | None] = {}
        """By job."""

    async def store(self, job_id: str, answer: StoredResponse | None) -> None:
        """Store the first answer to the request that created the job, now or later. See
        `Idempotency.store_answer`."""
        try:
            await self._keys.store_answer(job_id, answer)
        except Exception as error:  # noqa: BLE001 - the job is stored in any case
            log.warning("an idempotency key's answer is not stored", job=job_id, reason=str(error))
            if len(self._answers) < MAX_UNSTORED:
                self._answers[job_id] = answer

    async def retry(self) -> None:
        """Store the remembered answers, unless the store still fails."""
        while self._answers:
            job_id, answer = self._answers.popitem()
            try:
                await self._keys.store_answer(job_id, answer)
            except StoreUnavailable:
                self._answers[job_id] = answer
                return
