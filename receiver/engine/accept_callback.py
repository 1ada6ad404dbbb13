"""Accepts a callback: parses it for its status and id, and stores it raw before answering."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from receiver.engine.context import ServiceContext
from receiver.engine.recent_callbacks import RecentCallbacks
from receiver.json_text import UnreadableJson, decode, parse
from receiver.large_bodies import LARGE, MAX_LARGE, LargeBodies, TooManyLarge
from store.callbacks import Receipt
from store.errors import StoreBusy
from store.records.jobs import FINAL_STATUSES

_SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


class ApplySoon(Protocol):
    """Called with a job, and whether its callback reports an outcome."""

    def __call__(self, job_id: str, *, final: bool) -> None: ...


class CallbackIntake:
    """Accepts callbacks to the jobs' own URLs."""

    def __init__(
        self,
        services: ServiceContext,
        apply_soon: ApplySoon,
        recent: RecentCallbacks,
        large: LargeBodies,
    ) -> None:
        """`apply_soon` is called while a callback that is a JSON object is being stored."""
        self._services = services
        self._apply_soon = apply_soon
        self._recent = recent
        self._large = large

    async def accept(
        self,
        provider: str,
        job_id: str,
        body: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        verified: bool,
    ) -> Receipt:
        """Store a callback; an accepted one is on disk when this returns, and is applied in the
        same transaction or later.

        Returns ACCEPTED, DUPLICATE, REJECTED or CONFLICT. A recently stored one is answered from
        memory. One for which the job has no room is not stored, and returned as DUPLICATE, or
        REJECTED if unreadable. `verified` says whether its signature is the provider's.

        Raises:
            NotFound: there is no such job.
            StoreUnavailable: nothing was written, unless it is `OutcomeUnknown`; also if too many
                large ones are waiting.
        """
        digest = hashlib.sha256(body).digest()
        key = (job_id, digest, verified)
        known = self._recent.answer(key)
        if known is not None:
            return known
        if len(body) <= LARGE:
            content = read_object(body)
        else:
            content = await self._read_large(provider, body)
        said = content or {}
        reader = self._services.providers[provider]
        final = reader.read_status(said) in FINAL_STATUSES
        stored = self._services.store.callbacks.receive(
            {
                "provider": provider,
                "job_id": job_id,
                "at": self._services.clock.now(),
                "digest": digest,
                "headers": _headers_to_store(headers),
                "body": body,
                "provider_request_id": reader.read_id(said),
                "readable": content is not None,
                "final": final,
                "verified": verified,
            }
        )
        if content is not None:
            self._apply_soon(job_id, final=final)
        receipt = await stored
        self._recent.remember(key, receipt)
        if receipt is Receipt.SURPLUS:
            return Receipt.REJECTED if content is None else Receipt.DUPLICATE
        return receipt

    async def _read_large(self, provider: str, body: bytes) -> Mapping[str, object] | None:
        try:
            async with self._large.turn(provider):
                return await asyncio.to_thread(read_object, body)
        except TooManyLarge:
            raise StoreBusy(f"{MAX_LARGE} large callbacks are waiting") from None


def read_object(body: bytes) -> Mapping[str, object] | None:
    """The JSON object in a callback's body, or None."""
    try:
        # Strings are cleaned when the callback is applied.
        content = parse(decode(body))
    except UnreadableJson:
        return None
    return content if isinstance(content, dict) else None


def _headers_to_store(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The raw headers, one per line, without those that may hold a proxy's secrets."""
    return b"\n".join(
        [b"%s: %s" % header for header in headers if header[0] not in _SECRET_HEADERS]
    ).decode("latin-1")
