"""The sandbox behind a port: embedded in a running service, or as a process of its own."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

from receiver.clock import Clock
from receiver.http_server import listen, origin, serving
from receiver.providers.samsar_input import InputRules
from receiver.sandbox.app import create_app
from receiver.sandbox.memory import forgetful, open_memory
from receiver.sandbox.rules import SandboxRules


@asynccontextmanager
async def sandbox(
    rules: SandboxRules,
    clock: Clock,
    input_rules: InputRules,
    *,
    api_key: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    remember_in: Path | None = None,
) -> AsyncIterator[str]:
    """A sandbox that serves until the block is left; gives its origin, `http://HOST:PORT`.

    Port 0 takes a free one. With `remember_in`, a file, it goes on with the jobs of the process
    before, on the same port where that is free, so that results can still be opened. What is under
    way at the end is cut: submissions that are never answered would hold it for ever.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
    """
    memory = forgetful()
    if remember_in is not None:
        memory = open_memory(remember_in, rules.seed, clock.now())
        rules = replace(rules, seed=memory.seed)
    with closing(memory), _listen_again(host, port, memory.port) as listener:
        memory.listening(listener.getsockname()[1])
        base_url = origin(listener)
        app = create_app(rules, clock, base_url, api_key, input_rules, memory=memory)
        async with serving(app, listener, grace=0):
            yield base_url


def _listen_again(host: str, port: int, last_port: int) -> socket.socket:
    """Listen where it was wished, or where it was last, or anywhere."""
    if port == 0 and last_port:
        with suppress(OSError):
            return listen(host, last_port)
    return listen(host, port)


async def run_sandbox(
    rules: SandboxRules,
    clock: Clock,
    input_rules: InputRules,
    *,
    api_key: str | None,
    host: str,
    port: int,
    on_start: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; `on_start` is told the origin once it can be reached.

    Raises:
        OSError: see `sandbox`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with sandbox(
        rules, clock, input_rules, api_key=api_key, host=host, port=port
    ) as base_url:
        on_start(base_url)
        await stop.wait()
