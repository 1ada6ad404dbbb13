"""The doorbell between processes: NOTIFY, with ids and no data.

A NOTIFY takes a lock of the whole server at its commit, which would divide the rate of the writes
by three, were it in their transactions. So it is sent after them, in one of its own, for all that
has changed since the last one, every 20 ms at most. One that is lost costs a second
(`Store.changed_elsewhere`).
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import psycopg

from store.contract import Changes
from store.errors import StoreUnavailable
from store.postgres.failures import in_one_line
from store.records import Lane

CHANNEL = "receiver"

PAUSE = 0.02
"""Seconds between two notifications."""

IDS = 200
"""Ids in one notification, which has room for 8000 bytes."""

BACKOFF = (0.5, 10.0)
"""Seconds between attempts to listen: doubled from the first to the second, and spread."""

T = TypeVar("T", str, int)

log = logging.getLogger(__name__)


class Doorbell:
    """Rings for the others, and hears them ring."""

    def __init__(
        self,
        node: str,
        listen: Callable[[], Awaitable[psycopg.AsyncConnection]] | None,
        send: Callable[[str], Awaitable[None]],
        heard: Callable[[Changes], None],
    ) -> None:
        """`node` tells our own rings from the others'. `listen` connects to where notifications are
        heard; None where that is nowhere."""
        self._node = node
        self._listen = listen
        self._send = send
        self._heard = heard
        self._unsent = Changes()
        self._changed = asyncio.Event()
        self._deaf = True
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin."""
        self._tasks.append(asyncio.create_task(self._ring(), name="store-doorbell"))
        if self._listen is not None:
            self._tasks.append(asyncio.create_task(self._hear(), name="store-listener"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def announce(self, changes: Changes) -> None:
        """Ring for what a commit of ours has changed, as soon as may be."""
        if changes != Changes():
            self._unsent.add(changes)
            self._changed.set()

    def was_deaf(self) -> bool:
        """Whether a ring may have been missed since this was last asked."""
        deaf, self._deaf = self._deaf, False
        return deaf

    async def _ring(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            changes, self._unsent = self._unsent, Changes()
            try:
                for payload in _payloads(self._node, changes):
                    await self._send(payload)
            except StoreUnavailable:
                pass  # whoever cannot be rung for looks by itself
            await asyncio.sleep(PAUSE)

    async def _hear(self) -> None:
        assert self._listen is not None
        first, longest = BACKOFF
        pause = first
        while True:
            try:
                async with await self._listen() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._deaf = True
                    pause = first
                    async for notification in connection.notifies():
                        changes = _read(self._node, notification.payload)
                        if changes is not None:
                            self._heard(changes)
            except (psycopg.Error, OSError) as error:
                log.warning("cannot listen for other processes: %s", in_one_line(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, longest)


def _payloads(node: str, changes: Changes) -> Iterator[str]:
    """What is said of changes, in as many notifications as it needs."""
    rest: dict[str, object] = {
        "inbox": changes.inbox,
        "relay": changes.relay,
        "due": sorted(changes.due),
    }
    jobs, users = _pages(sorted(changes.jobs)), _pages(sorted(changes.users))
    for number in range(max(len(jobs), len(users), 1)):
        said = {
            "from": node,
            "jobs": jobs[number] if number < len(jobs) else [],
            "users": users[number] if number < len(users) else [],
            **(rest if number == 0 else {}),
        }
        yield json.dumps({name: what for name, what in said.items() if what}, separators=(",", ":"))


def _pages(ids: Sequence[T]) -> list[Sequence[T]]:
    return [ids[at : at + IDS] for at in range(0, len(ids), IDS)]


def _read(node: str, payload: str) -> Changes | None:
    """What another process says; None where it is our own ring, or nobody's that we know."""
    try:
        said = json.loads(payload)
        if said["from"] == node:
            return None
        return Changes(
            jobs=set(said.get("jobs", ())),
            users=set(said.get("users", ())),
            inbox=bool(said.get("inbox")),
            due={Lane(lane) for lane in said.get("due", ())},
            relay=bool(said.get("relay")),
        )
    except (ValueError, KeyError, TypeError):
        log.warning("an unreadable notification on the channel %s", CHANNEL)
        return Changes()
