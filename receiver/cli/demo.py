"""`demo`: runs the service with a sandbox that loses callbacks; all jobs complete anyway."""

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from receiver import logs
from receiver.cli import output
from receiver.cli.command import load_and_warn
from receiver.cli.errors import Failure, naming_the_port
from receiver.cli.progress import board
from receiver.cli.serve import Port, Provider
from receiver.client import AsyncClient, BadRelay, Job, verify_relay
from receiver.clock import SystemClock
from receiver.engine.keys import hash_key, issue_key
from receiver.http_api.documents import Delivery
from receiver.sandbox.faults import SandboxRules
from receiver.server.serve import listen, origin, serving
from receiver.settings import ServeSettings, sandbox_of

if TYPE_CHECKING:
    from receiver.assembly import Service

FAULTS: Final = SandboxRules(
    render_seconds=4.0,
    drop_callbacks=0.4,
    duplicate_callbacks=0.3,
    # With this seed, some of the first six jobs lose their final callback and some do not
    # (tests/cli/test_demo.py). Later jobs have the same probabilities.
    seed=24,
)
SETTINGS: Final = {
    # Short, and no poll is due just when a job ends, so the outcome comes by poll only if the
    # callback is lost.
    "poll_first": 1.5,
    "poll_min": 1.5,
    "poll_max": 3.0,
    "relay_allow_http": True,
    "relay_allow_nets": "127.0.0.0/8,::1/128",
    "relay_schedule": "0,1,5,30,300",
    # Those of the requests below, whatever the environment says.
    "image_models": "IMAGEN3",
    "video_models": "LUMA",
    # Replaced by `_kept_in`: what the environment says of them must not matter, valid or not.
    "public_url": "http://127.0.0.1",
    "database_url": "sqlite:///demo.db",
    "archive_url": "file:///archive",
}
LAST_WEBHOOKS_SECONDS: Final = 15.0
"""How long to wait for the last webhooks once all jobs are finished."""

PROMPTS: Final = (
    "A lighthouse and the sea, at dusk",
    "Paper boats on a city river",
    "A train through the winter mountains",
    "A garden that grows in a minute",
    "A fox that finds a map",
    "A letter that nobody opens",
)
REQUESTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "samsar": (
        "create_movie",
        {
            "image_model": "IMAGEN3",
            "video_model": "LUMA",
            "aspect_ratio": "16:9",
            "duration": 30,
        },
    ),
    "replicate": ("black-forest-labs/flux-schnell", {}),
    "fal": ("fal-ai/flux/schnell", {}),
}
"""By provider: the `kind` of the jobs, and their input besides the prompt."""


async def demo(
    provider: Provider = "samsar",
    exit_: Annotated[
        bool, typer.Option("--exit", help="Exit when all jobs are done: 0 if all completed.")
    ] = False,
    port: Port = None,
) -> None:
    """Watch six jobs complete, with a provider that loses callbacks.

    The service then runs until Ctrl-C, with a dashboard.
    """
    # Imported here: it is slow, and other commands do not need it.
    from receiver.app import STOP_SECONDS, running, stop_signal

    settings = load_and_warn(
        ServeSettings, port=port, provider=sandbox_of(provider), providers=(), **SETTINGS
    )
    kind, options = REQUESTS[provider]
    bodies = [{"kind": kind, "input": {"prompt": prompt} | options} for prompt in PROMPTS]
    with (
        listening(settings) as listener,
        tempfile.TemporaryDirectory(prefix="receiver-", ignore_cleanup_errors=True) as folder,
        _logging_to(Path(folder) / "demo.log") as log_file,
    ):
        settings = _kept_in(folder, settings, listener)
        logs.redact_values(settings.secrets())
        async with (
            running(settings, sandbox_faults=FAULTS) as service,
            serving(service.app, listener, grace=STOP_SECONDS),
        ):
            try:
                key, secret = await _create_keys(service, settings.public_url)
                jobs = await _run_jobs(settings.public_url, key, secret, bodies)
                if not exit_:
                    _say_what_next(settings.public_url, key, bodies[0], log_file)
                    await stop_signal().wait()
            finally:
                service.begin_stop()
    if any(job["status"] != "COMPLETED" for job in jobs):
        raise Failure("Not every job completed.")


def _kept_in(folder: str, settings: ServeSettings, listener: socket.socket) -> ServeSettings:
    """The settings with the bound port, and with a database and an archive in `folder`: configured
    ones have users whose webhooks the demo must not send, and would keep its keys."""
    return settings.model_copy(
        update={
            "port": listener.getsockname()[1],
            "public_url": origin(listener),
            "database_url": f"sqlite:///{folder}/demo.db",
            "archive_url": f"file://{folder}/archive",
        }
    )


@contextmanager
def listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """Listen on the configured port; if none is configured, on the default one or a free one."""
    host, port = settings.host, settings.port
    try:
        listener = listen(host, port)
    except OSError:
        with naming_the_port(host, port):
            if "port" in settings.model_fields_set:
                raise
            listener = listen(host, 0)
        output.say(f"Port {port} is in use; using port {listener.getsockname()[1]} instead.")
    with listener:
        yield listener


@contextmanager
def _logging_to(path: Path) -> Iterator[Path]:
    """Log to a file, since log lines would break the progress bars."""
    try:
        with path.open("w", encoding="utf-8") as log_file:
            logs.configure("json", "info", log_file)
            yield path
    finally:
        logs.configure(None, "warning")


async def _create_keys(service: "Service", url: str) -> tuple[str, str]:
    """Create and print the keys. Returns the user's key and signing secret."""
    store, now = service.context.services.store, SystemClock().now()
    user = await issue_key(store, now, os.urandom, "demo", admin=False)
    admin = await issue_key(store, now, os.urandom, "demo", admin=True)
    ticket = service.context.sessions.allow_once(hash_key(admin.key), os.urandom(16).hex())
    output.say(f"""\
The service: {url}
The key:     {user.key}
Admin key:   {admin.key}
Dashboard:   {url}/#/sign-in/{ticket}  (works once)
""")
    return user.key, user.secret


async def _run_jobs(
    url: str, key: str, secret: str, bodies: Sequence[Mapping[str, Any]]
) -> list[Job]:
    output.say(
        f"{len(bodies)} jobs of {FAULTS.render_seconds:g} s each. The provider loses"
        f" {FAULTS.drop_callbacks:.0%} of its callbacks and sends"
        f" {FAULTS.duplicate_callbacks:.0%} twice."
    )
    with listen("127.0.0.1", 0) as listener:
        async with (
            serving(_webhook_receiver(secret), listener),
            AsyncClient(url, key) as client,
        ):
            webhook = {"webhookUrl": f"{origin(listener)}/webhook"}
            jobs = await follow_jobs(client, [{**body, **webhook} for body in bodies])
            webhooks = await _last_webhooks(client)
    _sum_up(jobs, webhooks)
    return jobs


async def follow_jobs(client: AsyncClient, bodies: Sequence[Mapping[str, Any]]) -> list[Job]:
    """Submit the jobs, and show them until each is finished."""
    ended: dict[str, Job] = {}
    with board() as shown:
        async with aclosing(client.watch()) as events:
            await anext(events)  # the snapshot: no change of the jobs is missed after it
            for body in bodies:
                await client.submit(body)
            while len(ended) < len(bodies):
                for job in (await anext(events)).jobs:
                    shown.show(job)
                    if job["done"]:
                        ended[job["request_id"]] = job
    return list(ended.values())


def _webhook_receiver(secret: str) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An ASGI application that accepts signed webhooks, but refuses the first one, so that a retry
    can be seen."""
    answers = iter([500])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            verify_relay(secret, headers, body)
            status = next(answers, 204)
        except BadRelay:
            status = 400
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def _last_webhooks(client: AsyncClient) -> "list[Delivery]":
    """All webhooks, once none is pending any more, or after `LAST_WEBHOOKS_SECONDS`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WEBHOOKS_SECONDS):
            while (await client.deliveries(state="pending"))["deliveries"]:
                await SystemClock().sleep(0.1)
    return (await client.deliveries())["deliveries"]


def _sum_up(jobs: Sequence[Job], webhooks: "Sequence[Delivery]") -> None:
    completed = [job for job in jobs if job["status"] == "COMPLETED"]
    by_poll = sum(job["evidence"] == "poll" for job in completed)
    output.say()
    output.say(
        f"{len(completed)} of {len(jobs)} completed: {len(completed) - by_poll} via callback,"
        f" {by_poll} via poll because the callback was lost."
    )
    delivered = [webhook for webhook in webhooks if webhook["state"] == "delivered"]
    output.say(f"{len(delivered)} webhooks delivered, all with a valid signature.")
    for webhook in delivered:
        if len(webhook["attempts"]) > 1:
            first, second = (datetime.fromisoformat(each["at"]) for each in webhook["attempts"][:2])
            output.say(
                "The first was refused (500) to show a retry, which came"
                f" {(second - first).total_seconds():.1f} s later."
            )


def _say_what_next(url: str, key: str, example: Mapping[str, Any], log_file: Path) -> None:
    # The path of this process: `.venv/bin/receiver` need not be on the PATH of the other terminal.
    program = sys.argv[0] if sys.argv[0].endswith("/receiver") else "receiver"
    output.say(f"""
The service runs until Ctrl-C and logs to {log_file}. In another terminal, try:

  curl -s -H 'API-KEY: {key}' {url}/v1/jobs
  curl -N -H 'API-KEY: {key}' {url}/v1/events
  curl -s -H 'API-KEY: {key}' {url}/v1/jobs -d '{json.dumps(example)}'
  {program} watch --url {url} --api-key {key}
""")
