"""A webhook endpoint like a user's own: it verifies each message, and prints what arrived."""

from asyncio import Queue
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from receiver.cli.output import on_one_line, say
from receiver.server.serve import listen, origin, serving


class WebhookEndpoint:
    """An ASGI application."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.arrived: Queue[str] = Queue()
        """The request ids of messages with a valid signature; a test message has none."""
        self._webhook = Webhook(secret)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        body, more = b"", True
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body", False)
        status = 204 if self._take(body, headers) else 400
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body"})

    def _take(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            message = self._webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError):  # ValueError: not even in the form
            return False
        request_id = message.get("request_id", "")
        say(on_one_line(f"webhook {message['type']} {request_id}: signature verified"))
        self.arrived.put_nowait(request_id)
        return True


@asynccontextmanager
async def webhook_endpoint(secret: str) -> AsyncIterator[WebhookEndpoint]:
    """Receive webhooks of the user with this signing secret, on a free port of this machine."""
    with listen("127.0.0.1", 0) as listener:
        endpoint = WebhookEndpoint(origin(listener), secret)
        async with serving(endpoint, listener):
            yield endpoint
