"""Notifications between processes, by NOTIFY: ids and due times, no other data.

A NOTIFY takes a server-wide lock at commit, which would cut the write rate to a third if it were
part of the writes' transactions. So it is sent afterwards in its own transaction, at most every 20
ms, for everything that has changed since the last one. After a lost notification, other processes
find the changes within a second (`Store.changed_elsewhere`).
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from store.changes import CommitNotice
from store.errors import StoreUnavailable
from store.postgres.address import Address
from store.postgres.connection import options
from store.postgres.failures import in_one_line
from store.records.times import Lane, Millis

CHANNEL = "receiver"

NOTIFY_PAUSE = 0.02
"""Seconds between two notifications."""

LISTEN_PAUSE = 2.0
"""Seconds between attempts to listen."""


class Changes(TypedDict):
    """The part of a notice that other processes get."""

    jobs: set[str]
    users: set[int]
    due: dict[Lane, Millis]


_CHANGES = TypeAdapter(Changes)

log = logging.getLogger(__name__)


class Notifications:
    """Sends notifications to the other processes and receives theirs."""

    def __init__(
        self,
        node: str,
        address: Address,
        send: Callable[[str], Awaitable[None]],
        on_received: Callable[[CommitNotice], None],
    ) -> None:
        """`node` identifies our own notifications."""
        self._node = node
        self._address = address
        self._send = send
        self._on_received = on_received
        self._unsent = CommitNotice()
        self._changed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._send_loop(), name="store-notifications")]
        if address.listen is not None:
            listening = self._listen(address.listen)
            self._tasks.append(asyncio.create_task(listening, name="store-listener"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def announce(self, notice: CommitNotice) -> None:
        """Soon notify the other processes of our commit."""
        notice = CommitNotice(notice.jobs, notice.users, notice.due)
        if notice != CommitNotice():
            self._unsent.add(notice)
            self._changed.set()

    async def _send_loop(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            notice, self._unsent = self._unsent, CommitNotice()
            # If it fails (it has more than 8000 bytes, or the server's queue is full), the others
            # find the changes by polling.
            with suppress(StoreUnavailable, psycopg.Error):
                await self._send(_payload(self._node, notice))
            await asyncio.sleep(NOTIFY_PAUSE)

    async def _listen(self, conninfo: str) -> None:
        while True:
            try:
                connecting = psycopg.AsyncConnection.connect(conninfo, **options(self._address))
                async with await connecting as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    async for notification in connection.notifies():
                        notice = _read(self._node, notification.payload)
                        if notice is not None:
                            self._on_received(notice)
            except (psycopg.Error, OSError) as error:
                log.warning("cannot listen for other processes: %s", in_one_line(error))
            await asyncio.sleep(LISTEN_PAUSE)


def _payload(node: str, notice: CommitNotice) -> str:
    """The notification of a commit."""
    ids = {"jobs": [*notice.jobs], "users": [*notice.users]}
    return json.dumps({"from": node, **ids, "due": notice.due}, separators=(",", ":"))


def _read(node: str, payload: str) -> CommitNotice | None:
    """What a notification says; None if it is our own, empty if it is unreadable."""
    try:
        message = json.loads(payload)
        if message.pop("from") == node:
            return None
        return CommitNotice(**_CHANGES.validate_python(message))
    except (AttributeError, ValueError, KeyError, TypeError):
        log.warning("unreadable notification on the channel %s", CHANNEL)
        return CommitNotice()
