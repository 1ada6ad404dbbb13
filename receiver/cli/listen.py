"""`listen`: forwards the webhooks of your jobs to a local URL, for development."""

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated

import typer

from receiver.cli import output
from receiver.cli.errors import FAILED, Failure, warn, warn_of_pause
from receiver.client import AsyncClient, Job, StreamEvent
from receiver.clock import SystemClock
from receiver.domain.serialization import DEFAULT_WEBHOOK_EVENTS, compact_json, relay_body
from receiver.http_client.resolver import Resolver
from receiver.logs import redact
from receiver.setting_values import web_address, webhook_secret
from receiver.this_machine import is_this_machine
from receiver.webhooks.delivery import WebhookSender
from receiver.webhooks.network import CheckedNetwork
from receiver.webhooks.signing import new_secret, sign
from receiver.webhooks.targets import TargetRefused, check_url
from store.ids import Ids

TIMEOUT = 15.0
"""Seconds for one POST and its answer, as in RELAY_TIMEOUT's default."""
THIS_MACHINE = tuple(map(ip_network, ("127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128")))


def _local_url(url: str) -> str:
    try:
        if is_this_machine(web_address(url)):
            check_url(url, allow_http=True, allow_nets=THIS_MACHINE)
            return url
        reason = "its host is not this machine"
    except (ValueError, TargetRefused) as error:
        reason = str(error)
    needed = "must be a URL on this machine, such as http://127.0.0.1:3000/hooks"
    raise typer.BadParameter(f"{needed}, not {redact(url)!r}: {reason}")


def _signing_secret(text: str | None) -> str | None:
    try:
        return None if text is None else webhook_secret(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


async def listen(
    client: AsyncClient,
    forward_to: Annotated[
        str,
        typer.Option(
            help="Where to post to: a URL on this machine.", metavar="URL", callback=_local_url
        ),
    ],
    secret: Annotated[
        str | None,
        typer.Option(
            help="Sign with this secret, which your endpoint already has. Default: a new one.",
            metavar="WHSEC",
            callback=_signing_secret,
        ),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            help="Post the last message of this job once more, and exit: 0 if it was accepted.",
            metavar="REQUEST_ID",
        ),
    ] = None,
) -> None:
    """Post the webhooks of your jobs to a URL on this machine.

    Runs until Ctrl-C. Messages are posted in order, and signed with a secret that is printed first.
    A failed post is reported but not retried. Jobs need no webhookUrl for this.

    \b
    Examples:
      receiver listen --forward-to http://127.0.0.1:3000/hooks
      receiver listen --forward-to http://127.0.0.1:3000/hooks --replay REQUEST_ID
    """
    secret = secret or new_secret(os.urandom(32))
    output.say(f"Signing secret: {secret}")
    # The connection stays on this machine, so its certificate need not be verified.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    network = CheckedNetwork(Resolver().resolve, allow_http=True, allow_nets=THIS_MACHINE, tls=tls)
    endpoint = Endpoint(WebhookSender(network, SystemClock()), forward_to, secret)
    if replay is None:
        await _forward(client, endpoint)
    elif not await _replay(await client.get(replay), endpoint):
        raise typer.Exit(FAILED)


async def _forward(client: AsyncClient, endpoint: "Endpoint") -> None:
    changes = WebhookFilter()
    async with aclosing(client.watch(on_pause=warn_of_pause)) as events:
        async for event in events:
            if event.type == "snapshot":
                where = redact(endpoint.url)
                output.say(f"Following the jobs of this key, posting to {where}.")
            for job in changes.take(event):
                await endpoint.post(job)


async def _replay(job: Job, endpoint: "Endpoint") -> bool:
    if job["status"] not in DEFAULT_WEBHOOK_EVENTS:
        raise Failure(f"{job['request_id']} is {job['status']}: there is no message about it yet.")
    return await endpoint.post(job)


class WebhookFilter:
    """Selects the stream's events for which the service sends a webhook by default."""

    def __init__(self) -> None:
        self._unfinished: dict[str, str] = {}
        """The last status by job id."""

    def take(self, event: StreamEvent) -> Iterator[Job]:
        """The jobs to send a message about."""
        for job in event.jobs:
            before = self._unfinished.pop(job["request_id"], None)
            if not job["done"]:
                self._unfinished[job["request_id"]] = job["status"]
            is_sent = event.type == "update" and job["status"] in DEFAULT_WEBHOOK_EVENTS
            if is_sent and _is_news(job, before):
                yield job


def _is_news(job: Job, before: str | None) -> bool:
    if before is None:
        # Corrected outcomes are sent; changes of the archived files, and progress of jobs that a
        # truncated snapshot left out, are not.
        return job["updated_at"] == job["done_at"]
    return job["status"] != before


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The webhook receiver under development."""

    sender: WebhookSender
    url: str
    secret: str

    async def post(self, job: Job) -> bool:
        """Post the message about a job's current state, and print the result. Returns whether the
        answer was a 2xx."""
        now = SystemClock().now()
        body = compact_json(relay_body(job["status"], job))
        headers = sign([self.secret], Ids(os.urandom).new("msg", now), now, body)
        name = f"{time.strftime('%H:%M:%S')} job.{job['status'].lower()} {job['request_id']}"
        result = await self.sender.deliver(self.url, headers, body, TIMEOUT)
        accepted = result.status_code is not None and 200 <= result.status_code < 300
        if accepted:
            output.say(f"{name} {result.status_code} {result.duration_ms} ms")
        else:
            said = result.error or f"answered {result.status_code} {result.excerpt or ''}".rstrip()
            warn(f"{name} failed and is not retried: {said}")
        return accepted
