"""The users' ends of the relay: what arrives there is signed, committed, and in its job's order."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

from receiver.webhooks.signing import new_secret

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Relayed:
    """One arrival at a sink."""

    seq: int
    status: int
    """What the sink answered; 0 where the answer never came."""


class RelayEnds:
    """The sinks of all users."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.secrets: list[list[str]] = []
        """Of each user: the signing secrets, newest first."""
        self._replaced: dict[str, int] = {}
        """By secret that was rotated: the last second in which an attempt could begin with it."""
        self.arrivals: dict[str, list[Relayed]] = {}
        """By job."""

    def rotate(self, user: int) -> None:
        """As `receiver keys rotate-secret` does it, beside the running service."""
        fresh = new_secret(self._world.random.randbytes(32))
        self._replaced[self.secrets[user][0]] = self._world.clock.now() // 1_000
        self.secrets[user].insert(0, fresh)
        self._world.truth.db.execute(
            "UPDATE users SET previous_secret = secret, secret = ?, previous_secret_until = ?"
            " WHERE id = ?",
            (fresh, self._world.clock.now() + DAY_MS, self._world.user_ids[user]),
        )

    def arrived(self, url: str, headers: Mapping[str, str], body: bytes, status: int) -> None:
        """A relay message reaches a sink: signed right, committed, and in its job's order."""
        require = self._world.judge.require
        document = json.loads(body)
        job_id, seq = document["request_id"], document["seq"]
        self._world.judge.note("relay", job_id[-6:], seq, document["status"], status)
        history = self._world.truth.jobs.get(job_id)
        require(history is not None and len(history.events) >= seq,
                "nothing is told before its commit", job_id, seq)  # fmt: skip
        if history is None:
            return
        row = self._world.truth.one(
            "SELECT body FROM deliveries WHERE id = ?", headers["webhook-id"]
        )
        require(row == body, "a relay is sent as it was written", job_id, seq)
        user = self._world.user_ids.index(history.user_id)
        require(self._verified(user, headers, body), "a relay is signed", job_id)
        before = self.arrivals.setdefault(job_id, [])
        require(all(each.seq <= seq for each in before), "relays come in their job's order", job_id,
                seq, [each.seq for each in before])  # fmt: skip
        before.append(Relayed(seq, status))

    def _verified(self, user: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Signed by the newest secret, or by the one that was the newest when the attempt began."""
        newest, *older = self.secrets[user]
        began = int(headers["webhook-timestamp"])
        fitting = [newest, *(secret for secret in older if began <= self._replaced[secret])]
        return any(_signed_by(secret, headers, body) for secret in fitting)


def _signed_by(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the signature is the secret's; the library's own check would read the real clock."""
    webhook = Webhook(secret)
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    expected = webhook.sign(headers["webhook-id"], moment, body.decode())
    return expected in headers["webhook-signature"].split(" ")
