"""`demo`: runs the service with a sandbox that loses callbacks; all jobs complete anyway."""

import asyncio
import os
import shlex
import sys
import tempfile
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from receiver.cli.common import coroutine, load_and_warn
from receiver.cli.errors import Failure
from receiver.cli.output import say
from receiver.cli.serve import STOP_SECONDS, Port, stop_signal
from receiver.cli.watch import board
from receiver.cli.webhook_endpoint import WebhookEndpoint, webhook_endpoint
from receiver.client import AsyncClient, Job
from receiver.clock import SystemClock
from receiver.engine.keys import issue_key
from receiver.providers.settings import ServiceSettings, with_providers
from receiver.server.serve import listen, origin, serving
from receiver.simulator.faults import SimulatorRules
from receiver.telemetry import logs

FAULTS: Final = SimulatorRules(
    render_seconds=4.0,
    drop_callbacks=0.4,
    duplicate_callbacks=0.3,
    # With this seed, two of the first six jobs lose their final callback.
    seed=6,
)
PROMPTS: Final = (
    "A lighthouse and the sea, at dusk",
    "Paper boats on a city river",
    "A train through the winter mountains",
    "A garden that grows in a minute",
    "A fox that finds a map",
    "A letter that nobody opens",
)
WEBHOOK_SECONDS: Final = 10.0
"""How long to wait for the last webhook. It follows its job's end by milliseconds."""
OPTIONS: Final = {"image_model": "IMAGEN3", "video_model": "LUMA", "duration": 30}


@coroutine
async def demo(
    exit_: Annotated[
        bool, typer.Option("--exit", help="Exit when all jobs are done: 0 if all completed.")
    ] = False,
    port: Port = None,
) -> None:
    """Watch six jobs complete and their webhooks arrive.

    The provider loses callbacks. The service then runs until Ctrl-C, with a dashboard.
    """
    # Imported here: it is slow, and other commands do not need it.
    from receiver.app import running

    with tempfile.TemporaryDirectory(prefix="receiver-", ignore_cleanup_errors=True) as folder:
        settings, log_file = _settings(Path(folder), port), Path(folder) / "demo.log"
        with (
            listen(settings.host, settings.port) as listener,
            log_file.open("w", encoding="utf-8") as log,
        ):
            logs.configure("json", "info", log)  # lines would break the progress bars
            url = origin(listener)
            settings = settings.model_copy(update={"public_url": url})
            faults = replace(FAULTS, places=settings.sandbox_places)
            async with (
                running(settings, simulator_faults=faults) as service,
                serving(service.app, listener, grace=STOP_SECONDS),
            ):
                try:
                    store, now = service.context.services.store, SystemClock().now()
                    issued = await issue_key(store, now, os.urandom, "demo", admin=False)
                    say(f"Dashboard: {url}\nKey:       {issued.key}\n")
                    async with (
                        webhook_endpoint(issued.secret) as endpoint,
                        AsyncClient(url, issued.key) as client,
                    ):
                        jobs = await follow_jobs(client, endpoint)
                        _sum_up(jobs)
                        if not exit_:
                            _say_what_next(url, issued.key, log_file)
                            await stop_signal().wait()
                finally:
                    service.begin_stop()
    if any(job["status"] != "COMPLETED" for job in jobs):
        raise Failure("Not every job completed.")


def _settings(folder: Path, port: int | None) -> ServiceSettings:
    """Those of the environment, but nothing of a configured service is used: its users have
    webhooks that the demo must not send."""
    return load_and_warn(
        with_providers(ServiceSettings),
        port=port,
        provider="sandbox",
        providers=(),
        # Short, and no poll is due just when a job ends, so the outcome comes by poll only if the
        # callback is lost.
        poll_first=1.5,
        poll_min=1.5,
        poll_max=3.0,
        image_models=OPTIONS["image_model"],
        video_models=OPTIONS["video_model"],
        public_url="http://127.0.0.1",
        database_url=f"sqlite:///{folder}/demo.db",
        archive_url=f"file://{folder}/archive",
        # The demo's own webhook endpoint is on this machine.
        relay_allow_http=True,
        relay_allow_nets=("127.0.0.0/8",),
        relay_schedule=(0, 1, 1),
    )


async def follow_jobs(client: AsyncClient, endpoint: WebhookEndpoint) -> list[Job]:
    """Submit the jobs, and show them until each is finished and its webhook has arrived.

    Raises Failure if a webhook does not arrive.
    """
    say(
        f"{len(PROMPTS)} jobs of {FAULTS.render_seconds:g} s each. The provider loses"
        f" {FAULTS.drop_callbacks:.0%} of its callbacks and sends"
        f" {FAULTS.duplicate_callbacks:.0%} twice."
    )
    ended: dict[str, Job] = {}
    with board() as show:
        async with aclosing(client.watch()) as events:
            await anext(events)  # the snapshot: no change of the jobs is missed after it
            for prompt in PROMPTS:
                await client.submit(
                    {
                        "kind": "create_movie",
                        "input": OPTIONS | {"prompt": prompt},
                        "webhookUrl": endpoint.url,
                        "webhookEvents": ["COMPLETED", "FAILED", "CANCELLED"],
                    }
                )
            while len(ended) < len(PROMPTS):
                for job in (await anext(events)).jobs:
                    show(job)
                    if job["done"]:
                        ended[job["request_id"]] = job
        await _await_webhooks(endpoint, set(ended))
    return list(ended.values())


async def _await_webhooks(endpoint: WebhookEndpoint, request_ids: set[str]) -> None:
    try:
        async with asyncio.timeout(WEBHOOK_SECONDS):
            while request_ids:
                request_ids.discard(await endpoint.arrived.get())
    except TimeoutError as error:
        raise Failure(f"No webhook arrived for {', '.join(sorted(request_ids))}.") from error


def _sum_up(jobs: list[Job]) -> None:
    evidence = [job["evidence"] for job in jobs if job["status"] == "COMPLETED"]
    say(
        f"\n{len(evidence)} of {len(jobs)} completed: {evidence.count('callback')} by callback,"
        f" {evidence.count('poll')} by poll because the callback was lost."
        f"\n{len(jobs)} signed webhooks arrived at an endpoint of the demo, which verified them."
    )


def _say_what_next(url: str, key: str, log_file: Path) -> None:
    receiver = f"RECEIVER_URL={url} RECEIVER_API_KEY={key} {_this_command()}"
    say(f"""
The service runs until Ctrl-C and logs to {log_file}. In another terminal, in this folder, try:

  {receiver} jobs list
  {receiver} deliveries list
  {receiver} watch
  curl -N -H 'API-KEY: {key}' {url}/v1/events
""")


def _this_command() -> str:
    """How this program was started, for a shell in the same folder."""
    program = sys.argv[0]
    is_module = Path(program).name == "__main__.py"
    return shlex.join([sys.executable, "-m", "receiver"] if is_module else [program])
