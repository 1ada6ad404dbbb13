"""HTTP calls to one service: answers become documents, and what goes wrong a `ClientError`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource, SSEError
from pydantic import BaseModel, ValidationError

from receiver.client.errors import Unreachable, UnreadableAnswer, api_error
from receiver.client.watching import Watching
from receiver.settings import is_this_machine

STREAM_SILENCE = 60.0
"""Seconds without a byte (not even a heartbeat) after which a stream's connection is dead."""

D = TypeVar("D", bound=BaseModel)


class Connection:
    """The connections to one service, with one key."""

    def __init__(self, url: str, api_key: str, timeout: float) -> None:
        """Does not connect yet. See `AsyncClient`."""
        self.timeout = timeout
        nearby = is_this_machine(url)
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"API-KEY": api_key},
            timeout=timeout,
            # A proxy from the environment cannot reach this machine's loopback addresses.
            trust_env=not nearby,
            # Loading the certificate authorities takes longer than a call, so not in vain.
            verify=not (nearby and url.startswith("http:")),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, kind: type[D], method: str, path: str, **options: Any) -> D:
        """One call, and its answer. Raises `UnreadableAnswer`; see `send`."""
        response = await self.send(method, path, **options)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise UnreadableAnswer(
                f"{response.request.url.copy_with(query=None)} does not answer like the service"
            ) from error

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call, with options of httpx. Raises `ApiError` for a status of 300 or more, and
        `Unreachable`."""
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error
        if response.status_code >= 300:
            raise api_error(response)
        return response

    @asynccontextmanager
    async def stream(
        self, watching: Watching, user: str | None
    ) -> AsyncIterator[EventSource | None]:
        """One connection of a stream; None if there are no more events (204)."""
        try:
            async with self._http.stream(
                "GET",
                watching.path,
                params=given(user=user),
                headers={"Accept": "text/event-stream"} | watching.headers(),
                timeout=httpx.Timeout(self.timeout, read=STREAM_SILENCE),
            ) as response:
                if response.status_code >= 300:
                    await response.aread()
                    raise api_error(response)
                yield None if response.status_code == 204 else EventSource(response)
        except SSEError as error:
            # A subclass of HTTPError too, but retrying does not help.
            raise UnreadableAnswer(f"{self._http.base_url} sent no event stream") from error
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error


def given(**members: Any) -> dict[str, Any]:
    """The members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _unreachable(error: httpx.HTTPError, url: httpx.URL) -> Unreachable:
    reason = "timed out" if isinstance(error, httpx.TimeoutException) else str(error)
    return Unreachable(f"no answer from {url}: {reason or type(error).__name__}")
