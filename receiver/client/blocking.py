"""The synchronous client: each call runs the asynchronous method in a private event loop.

It cannot be used inside a running event loop; use `AsyncClient` there.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from receiver.client.client import AsyncClient
from receiver.client.watching import OnPause, Sleep, StreamEvent

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    """The same method, made synchronous."""

    def call(self: "Client", /, *args: P.args, **given: P.kwargs) -> T:
        return self._runner.run(method(self._client, *args, **given))

    functools.update_wrapper(call, method)
    return call


class Client:
    """Talks to one service with one key. For the methods see `AsyncClient`."""

    def __init__(
        self, url: str, api_key: str, *, timeout: float = 30.0, sleep: Sleep = asyncio.sleep
    ) -> None:
        """See `AsyncClient`."""
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url, api_key, timeout=timeout, sleep=sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and the event loop."""
        try:
            self._runner.run(self._client.close())
        finally:
            self._runner.close()

    submit = _blocking(AsyncClient.submit)
    submit_body = _blocking(AsyncClient.submit_body)
    get = _blocking(AsyncClient.get)
    list = _blocking(AsyncClient.list)
    history = _blocking(AsyncClient.history)
    cancel = _blocking(AsyncClient.cancel)
    wait = _blocking(AsyncClient.wait)
    deliveries = _blocking(AsyncClient.deliveries)
    delivery = _blocking(AsyncClient.delivery)
    retry_all = _blocking(AsyncClient.retry_all)
    retry = _blocking(AsyncClient.retry)
    holds = _blocking(AsyncClient.holds)
    end_holds = _blocking(AsyncClient.end_holds)

    def watch(
        self,
        job_id: str | None = None,
        *,
        cursor: str | None = None,
        user: str | None = None,
        on_pause: OnPause | None = None,
    ) -> Iterator[StreamEvent]:
        """See `AsyncClient.watch`. Close the iterator to stop before the end."""
        events = self._client.watch(job_id, cursor=cursor, user=user, on_pause=on_pause)

        async def following() -> StreamEvent | None:
            return await anext(events, None)

        try:
            while (event := self._runner.run(following())) is not None:
                yield event
        finally:
            self._runner.run(events.aclose())
