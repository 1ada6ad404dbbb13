"""A host that hangs keeps its slots for the whole timeout, and does not delay other hosts."""

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
HANGING_HOSTS = 8
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
async def test_a_user_s_hanging_hosts_delay_no_message_of_another_user(tmp_path: Path) -> None:
    async with world(tmp_path) as (service, dead, good):
        client = await service.user()
        for host in range(HANGING_HOSTS):
            url = f"http://127.0.1.{host}:{dead.port}/"
            for _ in range(MESSAGES_EACH):
                await submit(client, webhookUrl=url, webhookEvents=["COMPLETED"])
        await eventually(lambda: _count(dead.bodies), lambda count: count == 16, "attempts")

        began = time.monotonic()
        url = f"http://127.0.0.1:{good.port}/"
        other = await service.user("somebody else")
        await submit(other, webhookUrl=url, webhookEvents=["COMPLETED"])
        await eventually(lambda: _count(good.bodies), lambda count: count == 1, "the message")
        assert time.monotonic() - began < MAX_SECONDS


async def _count(requests: list[bytes]) -> int:
    return len(requests)
