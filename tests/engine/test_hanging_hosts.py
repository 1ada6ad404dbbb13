"""A host that hangs keeps its slots for the whole timeout, and does not delay other hosts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.providers.faulty_server import (
    THIS_MACHINE,
    FaultyServer,
    faulty_server,
    send_raw,
    stall_after,
)
from tests.support.service import RunningService, eventually, running_service, submit

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
HANGING_HOSTS = 20
MESSAGES_EACH = 4
MAX_SECONDS = 10.0
"""Seconds until a message must arrive on a busy machine. A hanging host takes a minute."""


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[RunningService, FaultyServer, FaultyServer]]:
    """A service, a sink that hangs at many addresses, and one that answers.

    The sinks close first, which ends their attempts: stopping the service would wait for them.
    """
    async with (
        running_service(
            folder,
            relay_allow_http=True,
            relay_allow_nets="127.0.0.0/8",
            relay_timeout=60,
            sandbox_render=0.1,
            poll_first=0.2,
            poll_rate=500,
        ) as service,
        faulty_server(stall_after(b""), host="0.0.0.0", cut=True) as dead,
        faulty_server(send_raw(OK)) as good,
    ):
        yield service, dead, good


@pytest.mark.allow_hosts(THIS_MACHINE)
async def test_hanging_hosts_leave_slots_to_hosts_that_answer(tmp_path: Path) -> None:
    async with world(tmp_path) as (service, dead, good):
        await _fill_with_dead(service, dead.port)
        # 80 messages of five users for 64 slots: they could take all slots.
        await eventually(lambda: _count(dead.bodies), lambda count: count >= 10, "attempts")

        for user in ("somebody else", "somebody else", "u0"):
            client = await service.user(user)
            seen, began = len(good.bodies), time.monotonic()
            await submit(
                client, webhookUrl=f"http://127.0.0.1:{good.port}/", webhookEvents=["COMPLETED"]
            )
            while len(good.bodies) == seen:
                await asyncio.sleep(0.02)
                assert time.monotonic() - began < MAX_SECONDS, f"nothing came for {user}"


@pytest.mark.allow_hosts(THIS_MACHINE)
async def test_dead_hosts_of_a_user_do_not_delay_their_other_hosts(tmp_path: Path) -> None:
    """Fewer attempts than the sixteen slots of a user hang when a new host comes."""
    async with world(tmp_path) as (service, dead, good):
        client = await service.user()
        for host in range(15):
            url = f"http://127.0.1.{host + 1}:{dead.port}/"
            for _ in range(2):
                await submit(client, webhookUrl=url, webhookEvents=["COMPLETED"])
        await eventually(lambda: _count(dead.bodies), lambda count: count == 15, "attempts")

        began = time.monotonic()
        url = f"http://127.0.0.1:{good.port}/"
        await submit(client, webhookUrl=url, webhookEvents=["COMPLETED"])
        await eventually(lambda: _count(good.bodies), lambda count: count == 1, "the message")
        assert time.monotonic() - began < MAX_SECONDS
        assert len(dead.bodies) == 15, "one at a time"


async def _fill_with_dead(service: RunningService, port: int) -> None:
    clients = [await service.user(f"u{number}") for number in range(5)]
    await asyncio.gather(
        *(
            submit(
                clients[host % len(clients)],
                webhookUrl=f"http://127.0.1.{host}:{port}/",
                webhookEvents=["COMPLETED"],
            )
            for host in range(HANGING_HOSTS)
            for _ in range(MESSAGES_EACH)
        )
    )


async def _count(requests: list[bytes]) -> int:
    return len(requests)
