"""How shutdown ends long requests."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from receiver.http_api.context import ApiContext
from receiver.http_api.errors import Problem
from receiver.streams.hub import STOP

T = TypeVar("T")


def service_stopping(detail: str = "Shutting down.") -> Problem:
    """The problem for a request that is refused or interrupted by the shutdown."""
    return Problem(503, "stopping", detail, headers={"Retry-After": "5"})


async def unless_stopping(context: ApiContext, work: Coroutine[Any, Any, T], detail: str) -> T:
    """The result of `work`, which is cancelled when the service begins to shut down.

    Raises:
        Problem: 503, with `detail`: it was cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        with context.hub.subscribed(STOP) as subscription:
            task.add_done_callback(lambda _: subscription.notify())
            while not (task.done() or context.stopping):
                await subscription.wait(None)
        if not task.done():
            raise service_stopping(detail)
        return task.result()
    finally:
        task.cancel()
