"""The network between the provider and the service: submissions that arrive, callbacks that come
back, and forged callbacks among them."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from receiver.signed_text import Purpose
from store.callbacks import MAX_STORED_CALLBACKS
from tests.simulation.client import NoAnswer, Response

if TYPE_CHECKING:
    from tests.simulation.world import World

PUBLIC_URL = "https://receiver.example"
TIMEOUT = 30.0
BURST = 12
"""Callbacks of a flood that arrive together."""
BURST_GAP = 0.04


class ProviderNetwork:
    """Both directions, and the checks at the moment something arrives."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.acknowledged: dict[str, list[bytes]] = {}
        """By job: the bodies of the provider's callbacks that were answered `accepted`."""

    def job_of(self, address: str) -> str:
        signed = address.removeprefix(f"{PUBLIC_URL}/webhooks/")
        path = self._world.signer.verify(Purpose.CALLBACK, signed)
        assert path is not None, "the address is one of ours"
        return path.partition("/")[2]

    def check_submission(self, job_id: str) -> None:
        """Rules 1 and 2, checked when a submission reaches the provider."""
        arrived = self._world.provider.submissions[job_id]
        row = self._world.truth.row(job_id, "phase, attempts, status")
        self._world.judge.note("submission", job_id[-6:], arrived[-1], row)
        require = self._world.judge.require
        require(row is not None, "a job is committed before the provider hears of it", job_id)
        if row is not None:
            phase, attempts, _ = row
            require(phase != "queued", "submitting is committed before the first byte", job_id)
            require(len(arrived) <= attempts, "each attempt is committed before it is made", job_id)
        require(all(each == "sure" for each in arrived[:-1]),
                "no second submission unless the first was surely not sent", job_id,
                arrived)  # fmt: skip

    def call_back(self, address: str, body: bytes, *, instant: bool = False) -> None:
        """Send a callback of the provider. It arrives after a delay, or now if `instant`."""
        self._world.spawn(self._deliver_callback(address, body, instant))

    def flood(self, calls: int) -> None:
        """Send this many callbacks of the provider's jobs, in bursts that arrive at once. Every
        fourth repeats the one before it."""
        upstreams = [each for each in self._world.provider.jobs.values() if each.ended_at is None]
        for number in range(calls if upstreams else 0):
            news = number - (number % 4 == 3)
            upstream = upstreams[news % len(upstreams)]
            body = {"request_id": upstream.id, "status": "IN_PROGRESS", "message": f"flood {news}"}
            deliver = partial(self.call_back, upstream.address, json.dumps(body).encode())
            later = partial(self._world.loop.call_later, context=self._world.loop.world_context)
            later(number // BURST * BURST_GAP, partial(deliver, instant=True))

    async def _post(self, address: str, body: bytes, instant: bool = False) -> Response | None:
        target = address.removeprefix(PUBLIC_URL)
        with suppress(NoAnswer):
            return await self._world.call(None, "POST", target, {}, body, TIMEOUT, instant=instant)
        return None

    async def _deliver_callback(self, address: str, body: bytes, instant: bool) -> None:
        response = await self._post(address, body, instant)
        if response is None:
            return
        job_id = self.job_of(address)
        self._world.judge.note("callback", job_id[-6:], response.status, body.decode())
        self._check_receipt(job_id, response, body)
        self._world.judge.require(response.status in (200, 409, 503), "a good callback is taken",
                           response)  # fmt: skip

    def _check_receipt(self, job_id: str, response: Response, body: bytes) -> None:
        if response.status == 200:
            digest = hashlib.sha256(body).digest()
            stored = self._world.truth.one(
                "SELECT 1 FROM callbacks WHERE job_id = ? AND digest = ?", job_id, digest
            )
            stored = stored or self._is_full(job_id)
            self._world.judge.require(stored, "an acknowledged callback is on disk", job_id, body)
            if json.loads(response.body)["status"] == "accepted":
                self.acknowledged.setdefault(job_id, []).append(body)
                # Each body of the provider names the job, and a finished one may lack its id.
                row = self._world.truth.row(
                    job_id, "provider_request_id IS NULL AND done_at IS NULL"
                )
                self._world.judge.require(row != (1,), "what is accepted is applied", job_id, body)

    def _is_full(self, job_id: str) -> bool:
        """Whether the job has as many callbacks as are stored for one job: 200."""
        kept = self._world.truth.one("SELECT count(*) FROM callbacks WHERE job_id = ?", job_id)
        return bool(kept >= MAX_STORED_CALLBACKS)

    def forge(self, how: Mapping[str, Any]) -> None:
        submission = self._world.users.submissions.get(how["label"])
        known = [] if submission is None else submission.request_ids
        upstream = self._world.provider.jobs.get(known[-1]) if known else None
        if upstream is None:
            return
        address, body, answers = upstream.address, b"", (200,)
        match how["kind"]:
            case "token":
                changed = "A" if address[-1] != "A" else "B"
                address, body, answers = address[:-1] + changed, b"{}", (401,)
            case "garbage":
                body, answers = b"no json", (400,)
            case "id":
                row = self._world.truth.row(upstream.job_id, "provider_request_id")
                if row is None or row[0] is None:
                    return
                body = json.dumps({"request_id": "someone-else", "status": "FAILED"}).encode()
                answers = (409,)
            case _:
                claim: dict[str, Any] = {"request_id": upstream.id, "status": how["status"]}
                if how["status"] == "COMPLETED":
                    claim["result"] = {"videoUrl": "http://evil.example/x.mp4"}
                body = json.dumps(claim).encode()
        self._world.spawn(self._deliver_forgery(upstream.job_id, address, body, answers))

    async def _deliver_forgery(
        self, job_id: str, address: str, body: bytes, answers: tuple[int, ...]
    ) -> None:
        response = await self._post(address, body)
        if response is None:
            return
        self._world.judge.note("forgery", job_id[-6:], response.status, body.decode())
        answered = response.status in (*answers, 503) or self._is_full(job_id)
        self._world.judge.require(answered, "a forgery is answered", response)
