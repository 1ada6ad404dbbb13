"""The proxies of docs/deploy.md, run with the files in deploy/ in front of a real service."""

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import trustme

from tests.docs.pages import ROOT
from tests.support.nginx import needs_nginx, nginx
from tests.support.ports import free_port
from tests.support.programs import running
from tests.support.service import RunningService, eventually, running_service, submit

DEPLOY = ROOT / "deploy"
NAME = "jobs.example.com"
Proxy = Callable[[Path, str, int], AbstractContextManager[Path]]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    async with running_service(
        tmp_path_factory.mktemp("service"), sandbox_render=3600, stream_heartbeat=0.2
    ) as service:
        yield service


@contextmanager
def tls_nginx(folder: Path, upstream: str, port: int) -> Iterator[Path]:
    """Run nginx with the file in deploy/ and a test certificate; yield its authority's file."""
    needs_nginx()
    authority = certify(folder)
    text = (DEPLOY / "nginx-tls.conf").read_text()
    text = text.replace(f"/etc/letsencrypt/live/{NAME}", str(folder)).replace(NAME, "localhost")
    text = text.replace("127.0.0.1:8000", upstream).replace("listen [::]", "#")
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    with nginx(folder, text):
        yield authority


def certify(folder: Path) -> Path:
    """Write a certificate for localhost and its key to the folder; return its authority's file."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(folder / "fullchain.pem", append=True)
    return folder / "authority.pem"


@contextmanager
def tls_caddy(folder: Path, upstream: str, port: int) -> Iterator[Path]:
    """Run Caddy with the file in deploy/ and a test certificate; yield its authority's file.

    For localhost Caddy would otherwise install an authority of its own. Its log is caddy.log.
    """
    if shutil.which("caddy") is None:
        pytest.skip("caddy is not installed here")
    authority = certify(folder)
    text = (DEPLOY / "Caddyfile").read_text()
    text = text.replace("{\n\tlog", "{\n\tauto_https disable_redirects\n\tlog", 1)
    site = "{$RECEIVER_HOSTNAME} {\n"
    assert site in text
    text = text.replace(site, f"{site}\ttls {folder}/fullchain.pem {folder}/privkey.pem\n")
    (folder / "Caddyfile").write_text(text)
    here = {
        "RECEIVER_HOSTNAME": f"https://localhost:{port}",
        "RECEIVER_UPSTREAM": upstream,
        "CADDY_ADMIN": "off",
        "HOME": str(folder),
    }
    command = ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    environment = {"PATH": os.environ["PATH"]} | here
    with (
        (folder / "caddy.log").open("w") as written,
        running(command, env=environment, stderr=written),
    ):
        yield authority


def https(authority: Path, port: int) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(authority))
    return httpx.AsyncClient(base_url=f"https://localhost:{port}", verify=context, trust_env=False)


async def check_proxy(client: httpx.AsyncClient) -> None:
    """Probes and refusals."""
    await eventually(lambda: probe(client), lambda status: status == 200, "the proxy")
    assert (await client.get("/metrics")).status_code == 404
    answer = await client.post("/webhooks/sandbox/no-token", json={})
    assert answer.json()["code"] == "bad_token"
    assert (await client.get("/v1/jobs", headers={"API-KEY": "rk_none"})).status_code == 401


async def check_stream(url: str, authority: Path, service: RunningService) -> None:
    """A stream over HTTP/2, as browsers read it, whose events are not buffered."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    key = await service.key()
    client = service.client(key)
    links = (await submit(client))["links"]
    command = ["curl", "--http2", "--no-buffer", "--silent", "--write-out", "%{http_version}"]
    reading = await asyncio.create_subprocess_exec(
        *command,
        *("--noproxy", "*", "--cacert", authority, "--header", f"API-KEY: {key}"),
        url + links["events"],
        stdout=asyncio.subprocess.PIPE,
    )
    assert reading.stdout is not None
    async with asyncio.timeout(20):
        while await reading.stdout.readline() != b"event: snapshot\n":
            pass
        await client.post(links["cancel"])
        rest = (await reading.stdout.read()).decode()
        await reading.wait()
    assert "event: update\n" in rest
    assert "event: done\n" in rest
    assert rest.endswith("\n\n2")


async def probe(client: httpx.AsyncClient) -> int:
    try:
        return (await client.get("/livez")).status_code
    except httpx.ConnectError:
        return 0


@pytest.mark.parametrize("proxy", [tls_nginx, tls_caddy])
async def test_a_proxy(proxy: Proxy, service: RunningService, tmp_path: Path) -> None:
    port = free_port()
    with proxy(tmp_path, service.url.removeprefix("http://"), port) as authority:
        async with https(authority, port) as client:
            await check_proxy(client)
            await check_stream(str(client.base_url), authority, service)


async def test_caddy_logs_no_callback_token_and_no_ticket(tmp_path: Path) -> None:
    """Nothing listens upstream, so Caddy logs each request as an error."""
    port, nobody = free_port(), free_port()
    with tls_caddy(tmp_path, f"127.0.0.1:{nobody}", port) as authority:
        async with https(authority, port) as client:
            await eventually(lambda: probe(client), lambda status: status == 502, "the proxy")
            await client.post("/webhooks/samsar/hush-token", json={})
            for path in ("/v1/events", "/v1/jobs/job_1/events"):
                await client.get(
                    path, params={"ticket": "hush-ticket"}, headers={"API-KEY": "hush"}
                )
    written = (tmp_path / "caddy.log").read_text()
    assert '"/webhooks/..."' in written
    assert '"/v1/events?ticket=..."' in written
    assert "hush" not in written
