"""Programs that read a stream with third-party clients (tests/streams/clients).

Each takes a URL and a key, and prints every event as `event id data`.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import TIMEOUT

CLIENTS = Path(__file__).with_name("clients")
Seen = tuple[str, str, dict[str, Any]]
"""An event: its name, its id (or `-`), its data."""


@dataclass
class Client:
    """The process of a client, and what it prints."""

    process: asyncio.subprocess.Process

    async def next(self) -> Seen:
        assert self.process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            line = (await self.process.stdout.readline()).decode()
        assert line, "the client exited"
        name, cursor, data = line.split(" ", 2)
        return name, cursor, json.loads(data)

    async def ended(self) -> int:
        async with asyncio.timeout(TIMEOUT):
            return await self.process.wait()


@asynccontextmanager
async def client(command: list[str], url: str, key: str) -> AsyncIterator[Client]:
    process = await asyncio.create_subprocess_exec(
        *command, url, key, stdout=asyncio.subprocess.PIPE, limit=1 << 20, start_new_session=True
    )
    try:
        yield Client(process)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it has exited, but was not waited for yet
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def curl(_: Path) -> list[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    return ["sh", str(CLIENTS / "curl.sh")]


def httpx_sse(_: Path) -> list[str]:
    return [sys.executable, str(CLIENTS / "httpx_sse_client.py")]


def eventsource(folder: Path) -> list[str]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed here")
    shutil.copytree(CLIENTS, folder / "clients")
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(install, check=False, cwd=folder / "clients", timeout=120).returncode:
        pytest.skip("npm could not install eventsource")
    return ["node", str(folder / "clients" / "eventsource.cjs")]


Command = Callable[[Path], list[str]]
CLIENT = pytest.mark.parametrize(
    "command", [curl, httpx_sse, pytest.param(eventsource, marks=pytest.mark.long)]
)
