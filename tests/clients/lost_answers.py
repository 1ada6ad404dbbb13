"""`python -m tests.clients.lost_answers [--orders N] [--lost P]`: what lost answers cost.

Each client orders N jobs, and each again until it is answered, as an application would. A proxy
loses a share P of the answers to creations. Printed is how many jobs the provider has made then,
that is, charged: without receiver, and with it, without and with an Idempotency-Key. With receiver,
the provider's answers to receiver are lost too, with the same probability.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from receiver.telemetry import logs
from tests.clients.installs import CLIENTS, Client, Missing, environment
from tests.clients.targets import Target, sandbox_alone, service

SEED = 1
RENDER_SECONDS = 0.1
SECONDS = 600.0
"""For all orders of one client."""

Opened = Callable[..., AbstractAsyncContextManager[Target]]


async def charges(
    client: Client, call: str, opened: Opened, orders: int, lost: float, **given: Any
) -> int:
    """How many jobs the provider makes for this many orders."""
    rules = given.pop("rules", {})
    with tempfile.TemporaryDirectory() as folder:
        async with opened(client, Path(folder), render_seconds=RENDER_SECONDS, **rules) as target:
            draws = random.Random(SEED)
            target.front.loses = lambda: draws.random() < lost
            [line] = await target.run(call, seconds=SECONDS, ORDERS=str(orders), **given)
            assert line["got"]["jobs"] == orders, line
            return await target.charges()


async def rows(orders: int, lost: float) -> None:
    print("| client | without receiver | with receiver, no key | with a key |\n|---|---|---|---|")
    through = {"seed": SEED, "submit_timeouts": lost}
    for client in CLIENTS:
        try:
            environment(client)
        except Missing as missing:
            print(missing, file=sys.stderr)
            continue
        for call in client.orders:
            counts = [
                await charges(client, call, sandbox_alone, orders, lost),
                await charges(client, call, service, orders, lost, rules=through),
                await charges(client, call, service, orders, lost, rules=through, KEYS="1"),
            ]
            name = client.name + call.removeprefix("orders").replace(" of ", ", ")
            print("|", " | ".join([name, *(f"{each:,}" for each in counts)]), "|", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--lost", type=float, default=0.02)
    given = parser.parse_args()
    logs.configure("json", "error")
    asyncio.run(rows(given.orders, given.lost))
