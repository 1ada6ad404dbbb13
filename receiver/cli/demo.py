"""`demo`: runs the service with a sandbox that loses callbacks; all jobs complete anyway."""

import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from receiver import logs
from receiver.actions.keys import hash_key, issue_key
from receiver.cli import output
from receiver.cli.command import command, configured
from receiver.cli.demo_webhooks import WebhookReceiver
from receiver.cli.errors import Failure, naming_the_port
from receiver.cli.progress import board
from receiver.cli.serve import hide_secrets
from receiver.client import AsyncClient, Job
from receiver.clock import SystemClock
from receiver.sandbox.rules import SandboxRules
from receiver.server.serve import listen, origin, serving
from receiver.settings import ServeSettings, sandbox_of

FAULTS: Final = SandboxRules(
    render_seconds=4.0,
    drop_callbacks=0.4,
    duplicate_callbacks=0.3,
    # With this seed, some of the first six jobs lose their final callback and some do not
    # (tests/cli/test_demo.py). Later jobs have the same probabilities.
    seed=37,
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
}
LAST_WEBHOOKS_SECONDS: Final = 15.0
"""How long to wait for the last webhooks once all jobs are finished."""

PROMPTS: Final = (
    "A lighthouse and the sea, at dusk",
    "Paper boats on a city river",
    "A train through the winter mountains",
    "A garden that grows in a minute",
)
NARRATIVES: Final = (
    ["The fox finds a map.", "The map leads to the sea.", "There is no treasure."],
    ["A letter arrives.", "Nobody opens it.", "Years later, somebody does."],
)
_MOVIE: Final = {
    "image_model": "IMAGEN3",
    "video_model": "LUMA",
    "aspect_ratio": "16:9",
    "duration": 30,
}
_MODELS: Final = {"replicate": "black-forest-labs/flux-schnell", "fal": "fal-ai/flux/schnell"}


def jobs_for(provider: str) -> list[tuple[str, dict[str, Any]]]:
    """The jobs to submit, each as `kind` and `input`."""
    if provider != "samsar":
        prompts = (*PROMPTS, *(lines[0] for lines in NARRATIVES))
        return [(_MODELS[provider], {"prompt": prompt}) for prompt in prompts]
    narrative = {"image_model": "FLUX1.1PRO"}
    return [
        *(("create_movie", {"prompt": prompt} | _MOVIE) for prompt in PROMPTS),
        *(("create_narrative", {"prompt_list": lines} | narrative) for lines in NARRATIVES),
    ]


@command
async def demo(
    provider: Annotated[
        Literal["samsar", "replicate", "fal"], typer.Option(help="The API of the sandbox.")
    ] = "samsar",
    exit_: Annotated[
        bool, typer.Option("--exit", help="Exit when all jobs are done: 0 if all completed.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(help="The port to listen on (RECEIVER_PORT).", min=0, max=65_535),
    ] = None,
) -> None:
    """Run the service with a provider that loses callbacks, and watch six jobs complete anyway."""
    # Imported here and below: it is slow, and other commands do not need it.
    from receiver.app import stop_signal

    settings = configured(
        ServeSettings, port=port, provider=sandbox_of(provider), providers=(), **SETTINGS
    )
    wanted = jobs_for(provider)
    async with _running(settings) as service:
        output.say(f"""\
The service: {service.url}
The key:     {service.key}
Admin key:   {service.admin_key}
Dashboard:   {service.url}/#/sign-in/{service.ticket}  (works once)
""")
        async with AsyncClient(service.url, service.key) as client:
            jobs = await _follow_jobs(client, service.webhook_url, wanted)
        await service.hook.received(len(jobs), LAST_WEBHOOKS_SECONDS)
        _sum_up(jobs, service.hook)
        if not exit_:
            _say_what_next(service, wanted[0])
            await stop_signal().wait()
    if any(job.status != "COMPLETED" for job in jobs):
        raise Failure("Not every job completed.")


@dataclass(frozen=True, slots=True)
class _Service:
    """The running service, and the receiver of its webhooks."""

    url: str
    key: str
    admin_key: str
    ticket: str
    """Signs in to the dashboard, once."""
    log_file: Path
    hook: WebhookReceiver
    webhook_url: str


@asynccontextmanager
async def _running(settings: ServeSettings) -> AsyncIterator[_Service]:
    from receiver.app import STOP_SECONDS, running

    clock = SystemClock()
    with (
        _listening(settings) as listener,
        listen("127.0.0.1", 0) as hook_listener,
        tempfile.TemporaryDirectory(prefix="receiver-") as folder,
        _logging_to(Path(folder) / "demo.log") as log_file,
    ):
        settings = _kept_in(folder, settings, listener)
        hide_secrets(settings)
        async with running(settings, sandbox_faults=FAULTS) as service:
            store, sessions = service.context.services.store, service.context.sessions
            issued = await issue_key(store, clock.now(), os.urandom, "demo", admin=False)
            admin = await issue_key(store, clock.now(), os.urandom, "demo", admin=True)
            hook = WebhookReceiver(issued.secret, clock)
            async with (
                serving(service.app, listener, grace=STOP_SECONDS),
                serving(hook, hook_listener),
            ):
                try:
                    yield _Service(
                        url=settings.public_url,
                        key=issued.key,
                        admin_key=admin.key,
                        ticket=sessions.allow_once(hash_key(admin.key), os.urandom(16).hex()),
                        log_file=log_file,
                        hook=hook,
                        webhook_url=f"{origin(hook_listener)}/webhook",
                    )
                finally:
                    service.begin_stop()


def _kept_in(folder: str, settings: ServeSettings, listener: socket.socket) -> ServeSettings:
    """The settings with the bound port, and with a database and an archive in `folder` if they are
    not set."""
    given: dict[str, object] = {"port": listener.getsockname()[1], "public_url": origin(listener)}
    if "database_url" not in settings.model_fields_set:
        given["database_url"] = f"sqlite:///{folder}/demo.db"
    if settings.archive_url is None:
        given["archive_url"] = f"file://{folder}/archive"
    return settings.model_copy(update=given)


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
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


async def _follow_jobs(
    client: AsyncClient, webhook_url: str, wanted: Sequence[tuple[str, dict[str, Any]]]
) -> list[Job]:
    """Submit the jobs, and show them until each is finished."""
    output.say(
        f"{len(wanted)} jobs of {FAULTS.render_seconds:g} s each. The provider loses"
        f" {FAULTS.drop_callbacks:.0%} of its callbacks and sends"
        f" {FAULTS.duplicate_callbacks:.0%} twice."
    )
    with board() as shown:
        unfinished = {
            (await client.submit(kind, job_input, webhook_url=webhook_url)).request_id
            for kind, job_input in wanted
        }
        ended: list[Job] = []
        async with aclosing(client.watch()) as events:
            async for event in events:
                for job in event.jobs:
                    if job.request_id in unfinished:
                        shown.show(job)
                        if job.done:
                            unfinished.discard(job.request_id)
                            ended.append(job)
                if not unfinished:
                    break
    return ended


def _sum_up(jobs: list[Job], hook: WebhookReceiver) -> None:
    completed = [job for job in jobs if job.status == "COMPLETED"]
    by_poll = sum(job.evidence == "poll" for job in completed)
    output.say()
    output.say(
        f"{len(completed)} of {len(jobs)} completed: {len(completed) - by_poll} via callback,"
        f" {by_poll} via poll because the callback was lost."
    )
    output.say(f"{len(hook.delivered)} webhooks delivered, all with a valid signature.")
    if hook.retried_after is not None:
        output.say(
            "The first was refused (500) to show a retry, which came"
            f" {hook.retried_after:.1f} s later."
        )


def _say_what_next(service: _Service, example: tuple[str, dict[str, Any]]) -> None:
    url, key = service.url, service.key
    kind, job_input = example
    body = json.dumps({"kind": kind, "input": job_input})
    # As this one was started: `.venv/bin/receiver` need not be on the PATH of the other terminal.
    program = sys.argv[0] if sys.argv[0].endswith("/receiver") else "receiver"
    output.say(f"""
The service runs until Ctrl-C and logs to {service.log_file}. In another terminal, try:

  curl -s -H 'API-KEY: {key}' {url}/v1/jobs
  curl -N -H 'API-KEY: {key}' {url}/v1/events
  curl -s -H 'API-KEY: {key}' {url}/v1/jobs -d '{body}'
  {program} watch --url {url} --api-key {key}
""")
