"""What the clients are pointed at: a provider's sandbox itself, or the service before it."""

import asyncio
import json
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from receiver.clock import SystemClock
from receiver.sandbox.fal import FalApi
from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.replicate import ReplicateApi
from receiver.sandbox.run import sandbox
from tests.clients.front import Front, front
from tests.clients.installs import ROOT, Client, command

RESULTS = "https://results.example.com/"
"""Where results seem to be: the clients treat `https` links in their own ways."""
SCRIPT_SECONDS = 50.0

_IDS = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{11}-[0-9a-f]{12}")

Line = dict[str, Any]
"""What a script says of one call: `call`, and what it `got` or `raised`."""


class _Replicate(ReplicateApi):
    def output(self, job_input: Mapping[str, Any], link: str) -> Any:
        """One file if a video is asked for, a list of files otherwise."""
        file = RESULTS + link.rpartition("/")[2]
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
    provider: ReplicateApi | FalApi
    authority: Path
    """The certificate that signed the front's."""

    @property
    def charges(self) -> int:
        """How many jobs the provider has made."""
        return len(self.provider.jobs.all())

    async def run(self, *calls: str, **environment: str) -> list[Line]:
        """Run the client's script: all its calls, or those that are named. Ids are replaced."""
        process = await asyncio.create_subprocess_exec(
            *command(self.client),
            self.root,
            self.key,
            *calls,
            cwd=ROOT,
            env=os.environ | {"SSL_CERT_FILE": str(self.authority), "no_proxy": "*"} | environment,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SCRIPT_SECONDS):
                stdout, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0
        return [json.loads(_IDS.sub("ID", line)) for line in stdout.decode().splitlines()]


@asynccontextmanager
async def sandbox_alone(client: Client, folder: Path, **rules: Any) -> AsyncIterator[Target]:
    """The provider's sandbox, without the service."""
    provider = _Replicate() if client.api == "replicate" else _Fal()
    certificates = trustme.CA()
    authority = folder / "authority.pem"
    certificates.cert_pem.write_to_path(str(authority))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if client.needs_tls else None
    if tls is not None:
        certificates.issue_cert("127.0.0.1").configure_cert(tls)
    async with (
        sandbox(SandboxRules(**rules), SystemClock(), provider) as origin,
        front(origin, tls) as proxy,
    ):
        provider.base_url = proxy.url + provider.path
        yield Target(client, proxy.url, "any", proxy, provider, authority)
