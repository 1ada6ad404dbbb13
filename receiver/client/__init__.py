"""A client of the service, typed: `AsyncClient`, and `Client` for code that does not await.

    async with AsyncClient("http://127.0.0.1:8000", key) as receiver:
        job = await receiver.submit("create_movie", {"prompt": "…", …})
        job = await receiver.wait(job.request_id)

Whoever gets the service's webhooks checks them with `verify_relay`.
"""

from receiver.client.blocking import Client
from receiver.client.client import AsyncClient
from receiver.client.documents import (
    Attempt,
    Deliveries,
    Delivery,
    HistoryLine,
    Job,
    JobError,
    Jobs,
)
from receiver.client.errors import (
    ApiError,
    BadRelay,
    ClientError,
    Fault,
    Unreachable,
    UnreadableAnswer,
)
from receiver.client.relay import Relay, verify_relay
from receiver.client.watching import StreamEvent

__all__ = [
    "ApiError",
    "AsyncClient",
    "Attempt",
    "BadRelay",
    "Client",
    "ClientError",
    "Deliveries",
    "Delivery",
    "Fault",
    "HistoryLine",
    "Job",
    "JobError",
    "Jobs",
    "Relay",
    "StreamEvent",
    "Unreachable",
    "UnreadableAnswer",
    "verify_relay",
]
