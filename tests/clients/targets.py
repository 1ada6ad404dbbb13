"""What the clients are pointed at: a provider's sandbox itself, or the service before it."""

import asyncio
import json
import operator
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trustme

from receiver.clock import SystemClock
from receiver.providers.fal.simulator import FalApi
from receiver.providers.replicate.simulator import ReplicateApi
from receiver.simulator.faults import SimulatorRules
from receiver.simulator.run import simulator
from tests.clients.front import Front, front
from tests.clients.installs import ROOT, Client, command
from tests.support.service import eventually, listed, running_service

RESULTS = "https://results.example.com/"
"""Where results seem to be: the clients treat `https` links in their own ways."""
SCRIPT_SECONDS = 50.0
SUBMIT_TIMEOUT = 0.5
"""Seconds that the service waits for an answer of the sandbox, which comes at once or never."""

_IDS = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{11}-[0-9a-f]{12}")

Line = dict[str, Any]
"""What a script says of one call: `call`, and what it `got` or `raised`."""


class _Replicate(ReplicateApi):
    file = ""
    """The result, if it is to be the same for all jobs."""

    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        """One file if a video is asked for, a list of files otherwise."""
        file = self.file or RESULTS + link.rpartition("/")[2]
        return file if "duration" in job_input else [file]


class _Fal(FalApi):
    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        return super().output(job_input, RESULTS + link.rpartition("/")[2])


@dataclass(frozen=True)
class Target:
    """Something that answers a client as the provider would."""

    client: Client
    root: str
    """What stands before the provider's own paths."""
    key: str
    front: Front
    provider: _Replicate | _Fal
    authority: Path
    """The certificate that signed the front's."""
    user: httpx.AsyncClient | None = None
    """The user of the service, if there is one."""

    async def charges(self) -> int:
        """How many jobs the provider has made, when no job of the service is under way."""
        if self.user is not None:
            for status in ("PENDING", "IN_PROGRESS"):
                await eventually(partial(listed, self.user, "jobs", status=status), operator.not_)
        return len(self.provider.jobs.all())

    async def run(
        self, *calls: str, seconds: float = SCRIPT_SECONDS, **environment: str
    ) -> list[Line]:
        """Run the client's script: all its calls, or those that are named. Ids are replaced."""
        line = [*command(self.client), self.root, self.key, *calls]
        output = await self.output(line, seconds, **environment)
        return [json.loads(_IDS.sub("ID", line)) for line in output.splitlines()]

    async def output(
        self, line: Sequence[str], seconds: float = SCRIPT_SECONDS, **environment: str
    ) -> str:
        """Run a program of the client; returns what it prints."""
        process = await asyncio.create_subprocess_exec(
            *line,
            cwd=ROOT,
            env=os.environ | {"SSL_CERT_FILE": str(self.authority), "no_proxy": "*"} | environment,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(seconds):
                stdout, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0
        return stdout.decode()


@asynccontextmanager
async def sandbox_alone(client: Client, folder: Path, **rules: Any) -> AsyncIterator[Target]:
    """The provider's sandbox, without the service."""
    async with (
        _sandbox(client, rules) as (provider, origin),
        _front(client, folder, origin) as (proxy, authority),
    ):
        provider.base_url = proxy.url + provider.path
        yield Target(client, proxy.url, "any", proxy, provider, authority)


@asynccontextmanager
async def service(client: Client, folder: Path, **rules: Any) -> AsyncIterator[Target]:
    """The service before the provider's sandbox."""
    async with (
        _sandbox(client, rules) as (provider, origin),
        running_service(
            folder,
            provider=client.api,
            replicate_api_token="token",
            replicate_base_url=origin + provider.path,
            fal_key="key",
            fal_base_url=origin + provider.path,
            fal_jwks_url=f"{origin}/.well-known/jwks.json",
            submit_timeout=SUBMIT_TIMEOUT,
            relay_allow_http=True,
            relay_allow_nets="127.0.0.0/8",
        ) as running,
        _front(client, folder, running.url) as (proxy, authority),
    ):
        key = await running.key()
        root, user = f"{proxy.url}/{client.api}", running.client(key)
        yield Target(client, root, key, proxy, provider, authority, user)


@asynccontextmanager
async def _sandbox(
    client: Client, rules: Mapping[str, Any]
) -> AsyncIterator[tuple[_Replicate | _Fal, str]]:
    provider = _Replicate() if client.api == "replicate" else _Fal()
    async with simulator(SimulatorRules(**rules), SystemClock(), provider) as origin:
        yield provider, origin


@asynccontextmanager
async def _front(client: Client, folder: Path, server: str) -> AsyncIterator[tuple[Front, Path]]:
    """A proxy, and the certificate of the authority that signed its own."""
    authority, file, tls = trustme.CA(), folder / "authority.pem", None
    authority.cert_pem.write_to_path(str(file))
    if client.needs_tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with front(server, tls) as proxy:
        yield proxy, file
