"""`demo`: the service and the sandbox over real HTTP, some callbacks lost, and every job home."""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from receiver import logs
from receiver.actions.issue_key import IssuedKey, issue_key
from receiver.cli import output
from receiver.cli.board import board
from receiver.cli.exits import Failure, naming_the_port
from receiver.cli.loop import run
from receiver.cli.opened import configured
from receiver.cli.serve import hide_secrets
from receiver.client import AsyncClient, Job
from receiver.clock import SystemClock
from receiver.http_server import listen, origin, serving
from receiver.sandbox.rules import SandboxRules
from receiver.settings import ServeSettings

CHANCES: Final = SandboxRules(
    render_seconds=4.0,
    drop_callbacks=0.4,
    duplicate_callbacks=0.3,
    # With this seed some of the first six jobs lose the callback that tells of their end, and some
    # do not (tests/cli/test_demo.py); the jobs after them go by the same probabilities.
    seed=37,
)
PATIENCE: Final = {"poll_first": 1.5, "poll_min": 1.5, "poll_max": 3.0}
"""Short, and such that no poll is due just when a job ends: what tells of that is its callback,
and a poll only where the callback is lost."""

JOBS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    *(
        (
            "create_movie",
            {
                "prompt": prompt,
                "image_model": "IMAGEN3",
                "video_model": "LUMA",
                "aspect_ratio": "16:9",
                "duration": 30,
            },
        )
        for prompt in (
            "A lighthouse and the sea, at dusk",
            "Paper boats on a city river",
            "A train through the winter mountains",
            "A garden that grows in a minute",
        )
    ),
    *(
        ("create_narrative", {"prompt_list": lines, "image_model": "FLUX1.1PRO"})
        for lines in (
            ["The fox finds a map.", "The map leads to the sea.", "There is no treasure."],
            ["A letter arrives.", "Nobody opens it.", "Years later, somebody does."],
        )
    ),
)


def add_to(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command()(demo)


def demo(
    exit_: Annotated[
        bool, typer.Option("--exit", help="End when every job has; status 0 if all completed.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(help="The port to listen on (RECEIVER_PORT).", min=0, max=65_535),
    ] = None,
) -> None:
    """Show it: a service, a provider that loses callbacks, and six jobs that all get home."""
    settings = configured(ServeSettings, port=port, provider="sandbox", **PATIENCE)
    with (
        _listening(settings) as listener,
        tempfile.TemporaryDirectory(prefix="receiver-") as folder,
    ):
        own: dict[str, object] = {"port": listener.getsockname()[1], "public_url": origin(listener)}
        if "database_url" not in settings.model_fields_set:
            own["database_url"] = f"sqlite:///{folder}/demo.db"
        settings = settings.model_copy(update=own)
        with _logging_to(Path(folder) / "demo.log") as log_file:
            hide_secrets(settings)
            run(_demonstrate(settings, listener, log_file, keep_serving=not exit_))


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """The port that was asked for, else the usual one, else any that is free."""
    host, port = settings.host, settings.port
    try:
        listener = listen(host, port)
    except OSError:
        with naming_the_port(host, port):
            if "port" in settings.model_fields_set:
                raise
            listener = listen(host, 0)
        output.say(f"Port {port} is in use; port {listener.getsockname()[1]} is free and taken.")
    with listener:
        yield listener


@contextmanager
def _logging_to(path: Path) -> Iterator[Path]:
    """Log to a file: lines among the bars would tear them."""
    try:
        with path.open("w", encoding="utf-8") as log_file:
            logs.configure("json", "info", log_file)
            yield path
    finally:
        logs.configure(None, "warning")


async def _demonstrate(
    settings: ServeSettings, listener: socket.socket, log_file: Path, *, keep_serving: bool
) -> None:
    from receiver.app import STOP_SECONDS, running

    clock = SystemClock()
    async with running(settings, sandbox_chances=CHANCES) as service:
        store = service.parts.core.store
        issued = await issue_key(store, clock.now(), os.urandom, "demo", admin=False)
        async with serving(service.app, listener, grace=STOP_SECONDS):
            try:
                output.say(f"The service: {settings.public_url}  (dashboard; sign in with the key)")
                output.say(f"The key:     {issued.key}")
                output.say()
                async with AsyncClient(settings.public_url, issued.key) as client:
                    jobs = await _watch_home(client)
                _sum_up(jobs)
                if keep_serving:
                    _say_what_next(settings, issued, log_file)
                    await _told_to_stop()
            finally:
                service.begin_stop()
    if any(job.status != "COMPLETED" for job in jobs):
        raise Failure("Not every job completed.")


async def _watch_home(client: AsyncClient) -> list[Job]:
    """Submit the jobs, and show them until each has ended."""
    output.say(
        f"{len(JOBS)} jobs, {CHANCES.render_seconds:g} s each; the provider loses"
        f" {CHANCES.drop_callbacks:.0%} of its callbacks, and tells"
        f" {CHANCES.duplicate_callbacks:.0%} twice."
    )
    with board() as shown:
        unfinished = {(await client.submit(kind, job_input)).request_id for kind, job_input in JOBS}
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


def _sum_up(jobs: list[Job]) -> None:
    completed = [job for job in jobs if job.status == "COMPLETED"]
    by_poll = sum(job.evidence == "poll" for job in completed)
    output.say()
    output.say(
        f"{len(completed)} of {len(jobs)} completed: {len(completed) - by_poll} known by callback,"
        f" {by_poll} by poll, without a callback."
    )


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _say_what_next(settings: ServeSettings, issued: IssuedKey, log_file: Path) -> None:
    url, key = settings.public_url, issued.key
    output.say(f"""
It goes on serving until Ctrl-C, and logs to {log_file}. Try, in another terminal:

  curl -s -H 'API-KEY: {key}' {url}/v1/jobs
  curl -N -H 'API-KEY: {key}' {url}/v1/events
  curl -s -H 'API-KEY: {key}' {url}/v1/video/create_movie -d '{{"input": {{"prompt": "A kite", \
"image_model": "IMAGEN3", "video_model": "LUMA", "duration": 10}}}}'
  receiver watch --url {url} --api-key {key}
""")
