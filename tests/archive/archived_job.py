"""A job whose result has links to files, and the settings of a service that keeps them."""

from pathlib import Path
from typing import Any

import httpx

from tests.http_api.scripted_provider import ScriptedProvider, call_back
from tests.support.service import eventually, job_of, job_when, submit


def settings(provider: ScriptedProvider, folder: Path) -> dict[str, Any]:
    return provider.settings() | {
        "archive_url": f"file://{folder}/kept",
        "archive_max_bytes": 1_000_000,
        "relay_allow_http": True,
        "relay_allow_nets": "127.0.0.0/8",
        "confirm_callbacks": False,
    }


async def complete(
    client: httpx.AsyncClient, provider: ScriptedProvider, result: dict[str, Any], **members: Any
) -> str:
    """A job that ends with this result; its id."""
    number = len(provider.submissions) + 1
    request_id = str((await submit(client, **members))["request_id"])
    submission = await provider.submitted(number)
    await job_when(client, request_id, phase="accepted")
    await call_back(submission.webhook_url, {"status": "COMPLETED", "result": result})
    await job_when(client, request_id, done=True)
    return request_id


async def settled(client: httpx.AsyncClient, request_id: str) -> dict[str, Any]:
    """The job when nothing of its archive is pending."""
    return await eventually(
        lambda: job_of(client, request_id),
        lambda job: all(file["state"] != "pending" for file in job["archive"]),
        "an archive in which nothing is pending",
    )
