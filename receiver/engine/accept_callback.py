"""Accepts a callback: it is stored raw and applied in one transaction, before the answer."""

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial

import structlog

from receiver.domain.answers import Report
from receiver.domain.lifecycle import decide
from receiver.domain.observations import CallbackReceived
from receiver.engine.context import ServiceContext
from receiver.json_text import UnreadableJson, decode, has_more_values, parse
from receiver.large_bodies import LARGE, MAX_VALUES, LargeBodies
from receiver.upstream.contract import Headers
from store.callbacks import IncomingCallback, Receipt
from store.errors import NotFound, StoreUnavailable
from store.records.callbacks import Verdict
from store.records.jobs import Job
from store.records.transitions import Transition

_SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})

log = structlog.get_logger()


class Challenged(Exception):
    """A body is no callback, but asks whether we are there."""

    def __init__(self, answer: Mapping[str, str]) -> None:
        super().__init__()
        self.answer = answer
        """As JSON, this is to be answered."""


class CallbackIntake:
    """Accepts callbacks to the jobs' own URLs."""

    def __init__(self, services: ServiceContext, large: LargeBodies) -> None:
        self._services = services
        self._large = large

    async def accept(
        self,
        provider: str,
        job_id: str,
        body: bytes,
        headers: Headers,
        *,
        verified: bool,
    ) -> Receipt:
        """Store a callback and apply it to its job. All of that is on disk when this returns.

        One that cannot be applied, because of a fault of ours, is stored as FAILED, and its job is
        polled instead. `verified` says whether its signature is the provider's.

        Raises:
            Challenged: it is no callback; nothing was written.
            NotFound: there is no such job.
            StoreUnavailable: nothing was written, unless it is `OutcomeUnknown`.
        """
        arrival: IncomingCallback = {
            "provider": provider,
            "job_id": job_id,
            "at": self._services.clock.now(),
            "digest": hashlib.sha256(body).digest(),
            "headers": _headers_to_store(headers),
            "body": body,
            "provider_request_id": None,
            "verified": verified,
        }
        receive = self._services.store.callbacks.receive
        try:
            report = await self._read(provider, body, headers)
            if report is None:
                return await receive(arrival, Verdict.REJECTED)
            arrival["provider_request_id"] = report.provider_request_id
            return await receive(arrival, partial(self._decide, report, verified))
        except (Challenged, NotFound, StoreUnavailable):
            raise
        except Exception:
            # It must not be lost, nor be refused again and again: it is kept for people to read.
            log.exception("a callback could not be applied", job=job_id)
            return await receive(arrival, Verdict.FAILED)

    async def _read(self, provider: str, body: bytes, headers: Headers) -> Report | None:
        read = partial(self._read_at_once, provider, body, headers)
        if len(body) <= LARGE:
            return read()
        async with self._large.turn(provider):
            return await asyncio.to_thread(read)

    def _read_at_once(self, name: str, body: bytes, headers: Headers) -> Report | None:
        """What a callback says; None if its body is no JSON object, or has too many values. Raises
        Challenged."""
        if has_more_values(body, MAX_VALUES):
            return None
        try:
            content = parse(decode(body))
        except UnreadableJson:
            return None
        if not isinstance(content, dict):
            return None
        provider = self._services.providers[name]
        if (answer := provider.challenge(content)) is not None:
            raise Challenged(answer)
        return provider.read_callback(content, headers)

    def _decide(
        self, report: Report, verified: bool, callback_id: int, job: Job
    ) -> Transition | None:
        received = CallbackReceived(callback_id, report, verified)
        return decide(job, received, self._services.clock.now(), self._services.rules)


def _headers_to_store(headers: Headers) -> str:
    """The raw headers, one per line, without those that may hold a proxy's secrets."""
    return b"\n".join(
        [b"%s: %s" % header for header in headers if header[0] not in _SECRET_HEADERS]
    ).decode("latin-1")
