"""Creates a sandbox from the settings, and serves it on a port, embedded in a service or as a
separate process."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from receiver.clock import Clock
from receiver.providers.registry import API_OF, input_rules, operators_key
from receiver.sandbox.api import MakeApi
from receiver.sandbox.app import sandbox_app
from receiver.sandbox.fal import FalApi
from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.journal import Journal, open_journal
from receiver.sandbox.replicate import ReplicateApi
from receiver.sandbox.samsar import SamsarApi
from receiver.server.serve import listen, origin, serving
from receiver.settings import SandboxSettings


def sandbox_api(provider: str, settings: SandboxSettings) -> MakeApi:
    """The API of a provider's sandbox. It accepts the operator's key alone, if that is set."""
    api = API_OF[provider]
    key = operators_key(api, settings)
    match api:
        case "replicate":
            return partial(ReplicateApi, api_key=key)
        case "fal":
            return partial(FalApi, api_key=key)
        case _:
            return partial(SamsarApi, api_key=key, input_rules=input_rules(settings))


def sandbox_rules(settings: SandboxSettings) -> SandboxRules:
    """The faults from the settings."""
    return SandboxRules(
        render_seconds=settings.sandbox_render,
        drop_callbacks=settings.sandbox_drop_callbacks,
        duplicate_callbacks=settings.sandbox_duplicate_callbacks,
        fail_jobs=settings.sandbox_fail_jobs,
        submit_timeouts=settings.sandbox_submit_timeouts,
    )


@asynccontextmanager
async def sandbox(
    rules: SandboxRules,
    clock: Clock,
    make_api: MakeApi,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    journal_path: Path | None = None,
) -> AsyncIterator[str]:
    """Serve a sandbox while the block runs; yields its origin, `http://HOST:PORT`.

    With the file `journal_path`, it continues the jobs of the previous process. Port 0 selects the
    previous process's port, so that result links still work; without one, or if it is taken, any
    free port. At the end, open requests are cut off: submissions that are never answered would keep
    it running forever.

    Raises:
        OSError: the port is in use, or the address is not this machine's.
    """
    journal = Journal()
    if journal_path is not None:
        journal = open_journal(journal_path, rules.seed, clock.now())
        rules = replace(rules, seed=journal.seed)
    with closing(journal), _listen_again(host, port, journal.port) as listener:
        journal.record_port(listener.getsockname()[1])
        base_url = origin(listener)
        async with (
            sandbox_app(rules, clock, base_url, make_api, journal=journal) as app,
            serving(app, listener, grace=0),
        ):
            yield base_url


def _listen_again(host: str, port: int, last_port: int) -> socket.socket:
    """Listen on the given port; if it is 0, on the last one or any free one."""
    if port == 0 and last_port:
        with suppress(OSError):
            return listen(host, last_port)
    return listen(host, port)
