"""The demo's own webhook receiver: it refuses the first message, so that a retry can be seen."""

import asyncio
from contextlib import suppress
from typing import Any

from receiver.client import BadRelay, Relay, verify_relay
from receiver.clock import Clock


class WebhookReceiver:
    """An ASGI application that receives the service's webhooks to users."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self._refused: tuple[str, float] | None = None
        self.delivered: dict[str, Relay] = {}
        """Accepted messages with a valid signature, by id."""
        self.retried_after: float | None = None
        """Seconds from the refusal to the next attempt of the same message."""

    async def received(self, count: int, seconds: float) -> None:
        """Wait until `count` messages with a final status were accepted, at most `seconds`."""
        ends = ("COMPLETED", "FAILED", "CANCELLED")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while sum(each.body["status"] in ends for each in self.delivered.values()) < count:
                    await self._clock.sleep(0.05)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        status = self._take(headers, body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        now = self._clock.monotonic()
        try:
            message = verify_relay(self._secret, headers, body)
        except BadRelay:
            return 400
        if self._refused is None:
            self._refused = (message.id, now)
            return 500
        refused_id, refused_at = self._refused
        if message.id == refused_id:
            self.retried_after = now - refused_at
        self.delivered[message.id] = message
        return 204
