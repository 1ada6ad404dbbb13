"""`listen`: forwards the webhooks of your jobs to a URL on this machine, for development."""

import hashlib
import hmac
import os
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Annotated

import httpx
import typer

from receiver.cli.common import coroutine, load_and_warn
from receiver.cli.errors import warn
from receiver.cli.output import say
from receiver.cli.watch import warn_of_pause
from receiver.client import AsyncClient, Job, StreamEvent
from receiver.clock import SystemClock
from receiver.config.settings import ClientSettings
from receiver.domain.serialization import compact_json, relay_body
from receiver.net.this_machine import is_this_machine
from receiver.webhooks.signing import new_secret, sign
from store.ids import Ids

TIMEOUT = 15.0
"""Seconds for the answer to one POST, as in RELAY_TIMEOUT's default."""


def _local_url(given: str) -> str:
    url = given if "://" in given else f"http://{given}"
    try:
        is_local = httpx.URL(url).scheme in ("http", "https") and is_this_machine(url)
    except (ValueError, httpx.InvalidURL):
        is_local = False
    if not is_local:
        raise typer.BadParameter("must be a URL on this machine, such as localhost:3000/hooks")
    return url


@coroutine
async def listen(
    forward_to: Annotated[
        str,
        typer.Option(
            help="Where to post to: a URL on this machine.", metavar="URL", callback=_local_url
        ),
    ],
) -> None:
    """Post the webhooks of your jobs to a URL on this machine.

    Runs until Ctrl-C. Messages are posted in order, and signed with a secret that is printed first;
    it is always the same for your API key. A failed post is reported but not repeated. Jobs need no
    webhookUrl for this.

    \b
    Examples:
      receiver listen --forward-to localhost:3000/hooks
    """
    settings = load_and_warn(ClientSettings)
    key = settings.api_key.get_secret_value()
    secret = new_secret(hmac.digest(key.encode(), b"receiver listen", hashlib.sha256))
    say(f"Signing secret: {secret}")
    pending: set[str] = set()
    async with (
        # The connection stays on this machine, so its certificate need not be verified.
        httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, verify=False) as endpoint,
        AsyncClient(settings.url, key) as client,
        aclosing(client.watch(on_pause=warn_of_pause)) as events,
    ):
        async for event in events:
            if event.type == "snapshot":
                say(f"Following the jobs of this key, posting to {forward_to}.")
            for job in due(event, pending):
                await _post(endpoint, forward_to, secret, job)


def due(event: StreamEvent, pending: set[str]) -> Iterator[Job]:
    """The jobs of an event about which the service sends a webhook by default. `pending` has those
    that were PENDING before it, and is kept up to date."""
    for job in event.jobs:
        begins = job["request_id"] in pending and job["status"] == "IN_PROGRESS"
        # Not a change of the archived files.
        ends = job["done"] and job["updated_at"] == job["done_at"]
        if event.type == "update" and (begins or ends):
            yield job
        if job["status"] == "PENDING":
            pending.add(job["request_id"])
        else:
            pending.discard(job["request_id"])


async def _post(endpoint: httpx.AsyncClient, url: str, secret: str, job: Job) -> None:
    """Post the message about a job's current state, and print the result."""
    now = SystemClock().now()
    body = compact_json(relay_body(job["status"], job))
    headers = sign([secret], Ids(os.urandom).new("msg", now), now, body)
    name = f"{time.strftime('%H:%M:%S')} job.{job['status'].lower()} {job['request_id']}"
    try:
        # The status decides; the body is not read.
        async with endpoint.stream("POST", url, content=body, headers=headers) as response:
            pass
    except httpx.HTTPError as error:
        warn(f"{name} failed and is not repeated: {str(error) or type(error).__name__}")
        return
    if response.is_success:
        say(f"{name} {response.status_code}")
    else:
        warn(f"{name} failed and is not repeated: answered {response.status_code}")
