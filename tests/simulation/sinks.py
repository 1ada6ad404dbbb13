"""The users' webhook endpoints (sinks), and a sender without a network. It checks that whatever
arrives is signed, committed, and in its job's order."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from standardwebhooks import Webhook

from receiver.webhooks.delivery import AttemptResult, WebhookSender
from receiver.webhooks.signing import new_secret
from tests.simulation.loop import running_loop
from tests.simulation.process import Process, current_process
from tests.simulation.schedule import SINKS, SUSPENDING_ACTIONS, FaultWindows

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY_MS = 86_400_000
_STATUS: Mapping[str | None, int] = {"silent": 0, "broken": 500, "busy": 503, "gone": 410}


@dataclass(frozen=True)
class Relayed:
    """One webhook that arrived at a sink."""

    seq: int
    status: int
    """The sink's answer; 0 if no answer came."""


class SimulatedSender(WebhookSender):
    """`receiver.webhooks.delivery.WebhookSender`, without a network.

    Kinds of fault: refused (no connection), silent (received, never answered), broken (500), busy
    (503 and Retry-After), gone (410), uneven (answered well, but some messages overtake others).
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._in_flight: dict[str, Process] = {}
        """Jobs with an attempt under way, and the process that makes it."""
        self._random = world.random
        self.at_sending: Callable[[], None] | None = None
        """Called once, just before the next message is sent."""
        self.faults = {sink: FaultWindows() for sink in SINKS}
        """By host."""
        self.secrets: list[list[str]] = []
        """The signing secrets of each user, newest first."""
        self._replaced: dict[str, float] = {}
        """By rotated secret: the loop time until which an attempt could begin with it."""
        self.arrivals: dict[str, list[Relayed]] = {}
        """By job."""

    async def deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> AttemptResult:
        job_id, process = json.loads(body)["request_id"], current_process()
        assert process is not None
        other = self._in_flight.get(job_id)
        leases_hold = not self._world.performed & SUSPENDING_ACTIONS
        alone = other is None or other.dead or not leases_hold
        require = self._world.judge.require
        require(alone, "one attempt at a time for a job", job_id)
        off = self._world.truth.one(
            "SELECT 1 FROM deliveries WHERE job_id = ? AND state = 'disabled'", job_id
        )
        require(off is None or not leases_hold, "410 turns the address off for a job", job_id)
        self._in_flight[job_id] = process
        try:
            return await self._deliver(url, headers, body, timeout)
        finally:
            self._in_flight.pop(job_id, None)

    async def _deliver(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> AttemptResult:
        loop, process = running_loop(), current_process()
        began = loop.time()
        # Now, since the clock may be set before the message arrives.
        signed_at = self._world.clock.at(int(headers["webhook-timestamp"]) * 1_000)
        met: list[str | None] = []

        def arrive() -> None:
            """Bytes that were sent arrive even if their sender stalls meanwhile."""
            if process is None or process.dead:
                return
            kind = faults.at(loop.time())
            met.append(kind)
            if kind != "refused":
                self._arrived(headers, body, _STATUS.get(kind, 200), signed_at)

        faults = self.faults[str(urlsplit(url).hostname)]
        uneven = faults.at(began) == "uneven"
        way = self._random.choice([0.005, 0.4] if uneven else [0.005, 0.05, 0.4])
        if self.at_sending is not None:
            then, self.at_sending = self.at_sending, None
            then()
        loop.call_later(way, arrive, context=loop.world_context)
        await self._world.sleep(way)
        (kind,) = met
        status, error = None, None
        match kind:
            case "refused":
                error = "connect_failed"
            case "silent":
                await self._world.sleep(max(0.0, timeout - way))
                error = "timeout"
            case _:
                await self._world.sleep(0.05 if uneven else self._random.choice([0.005, 0.05, 3.0]))
                status = _STATUS.get(kind, 200)
        took = round((loop.time() - began) * 1_000)
        retry_after = 30_000 if status == 503 else None
        return AttemptResult(status, error, took, retry_after, "ok", kind == "refused")

    # --- the sinks --------------------------------------------------------------------------------

    def rotate(self, user: int) -> None:
        """Rotate a user's secret while the service runs, like `receiver keys rotate-secret`."""
        fresh = new_secret(self._world.random.randbytes(32))
        self._replaced[self.secrets[user][0]] = running_loop().time()
        self.secrets[user].insert(0, fresh)
        self._world.truth.db.execute(
            "UPDATE users SET previous_secret = secret, secret = ?, previous_secret_until = ?"
            " WHERE id = ?",
            (fresh, self._world.clock.now() + DAY_MS, self._world.user_ids[user]),
        )

    def _arrived(
        self, headers: Mapping[str, str], body: bytes, status: int, signed_at: float
    ) -> None:
        """Check a relay message at its sink: its signature, its commit, and its job's order."""
        require = self._world.judge.require
        document = json.loads(body)
        job_id, seq = document["request_id"], document["seq"]
        self._world.judge.note("relay", job_id[-6:], seq, document["status"], status)
        history = self._world.truth.jobs.get(job_id)
        require(history is not None and len(history.events) >= seq,
                "nothing is sent before its commit", job_id, seq)  # fmt: skip
        if history is None:
            return
        row = self._world.truth.one(
            "SELECT body FROM deliveries WHERE id = ?", headers["webhook-id"]
        )
        require(row == body, "a relay is sent as it was written", job_id, seq)
        user = self._world.user_ids.index(history.user_id)
        require(self._verified(user, headers, body, signed_at), "a relay is signed", job_id)
        before = self.arrivals.setdefault(job_id, [])
        require(all(each.seq <= seq for each in before), "relays come in their job's order", job_id,
                seq, [each.seq for each in before])  # fmt: skip
        before.append(Relayed(seq, status))

    def _verified(
        self, user: int, headers: Mapping[str, str], body: bytes, signed_at: float
    ) -> bool:
        """Whether it is signed by the newest secret, or by the one that was newest when the attempt
        began: at `signed_at`, a loop time in whole seconds of the wall clock."""
        newest, *older = self.secrets[user]
        fitting = [newest, *(secret for secret in older if signed_at <= self._replaced[secret])]
        return any(_signed_by(secret, headers, body) for secret in fitting)


def _signed_by(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether this secret made the signature; the library's own check would read the real clock."""
    webhook = Webhook(secret)
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    expected = webhook.sign(headers["webhook-id"], moment, body.decode())
    return expected in headers["webhook-signature"].split(" ")
