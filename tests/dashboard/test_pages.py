"""The static files of the dashboard and of /docs: their headers, and what they must not contain."""

import re
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.service import RunningService, running_service

SERVICE_LOOP = pytest.mark.asyncio(loop_scope="module")
"""The event loop that `service` lives in."""

FILES = {
    file.name: file.read_text("utf-8")
    for file in (files("receiver.dashboard") / "static").iterdir()
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    folder = tmp_path_factory.mktemp("pages")
    async with running_service(folder, public_url="https://jobs.example") as service:
        yield service


@pytest.fixture
def client(service: RunningService) -> httpx.AsyncClient:
    return service.client()


def policy_of(answer: httpx.Response) -> dict[str, str]:
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {name: values for name, _, values in (part.partition(" ") for part in parts)}


@SERVICE_LOOP
async def test_the_security_headers_are_strict(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = policy_of(answer)
    assert policy["default-src"] == "'none'"
    for name in ("script-src", "style-src", "connect-src"):
        assert policy[name] == "'self'"
    # Results can come from any host; this provider, the sandbox, serves its own on this machine.
    assert policy["img-src"] == "'self' https: http://127.0.0.1:*"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers


async def test_a_real_provider_s_results_need_https(tmp_path: Path) -> None:
    async with running_service(tmp_path, provider="samsar", samsar_api_key="k") as service:
        policy = policy_of(await service.client().get("/"))
        assert policy["img-src"] == policy["media-src"] == "'self' https:"


@SERVICE_LOOP
@pytest.mark.parametrize("name", sorted(FILES))
async def test_each_file_is_served_and_revalidated(client: httpx.AsyncClient, name: str) -> None:
    path = {"index.html": "/", "docs.html": "/docs"}.get(name, f"/static/{name}")
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.text == FILES[name]
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert (await client.head(path)).headers["ETag"] == answer.headers["ETag"]


@SERVICE_LOOP
@pytest.mark.parametrize("path", ["/static/", "/static/nothing.js", "/static/..%2fpages.py"])
async def test_other_paths_are_404(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_path"


@SERVICE_LOOP
@pytest.mark.parametrize(
    "host",
    [
        "jobs.example",
        "JOBS.example:443",
        "localhost:8000",
        "a.localhost",
        "127.0.0.1",
        "127.0.0.1:9",
        "[::1]:8000",
        "192.168.1.5:8000",
    ],
)
async def test_the_page_is_served_under_its_own_names(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 200


@SERVICE_LOOP
@pytest.mark.parametrize(
    "host", ["evil.example", "jobs.example.evil.example", "", "[", "localhost.evil", "x@jobs"]
)
async def test_another_host_name_is_refused(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "misdirected_request"
    assert "RECEIVER_PUBLIC_URL" in answer.json()["message"]


def test_the_page_loads_nothing_from_other_hosts() -> None:
    for name, text in FILES.items():
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name


def test_the_page_never_parses_markup() -> None:
    for name, text in FILES.items():
        found = re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        assert found is None, name


@pytest.mark.parametrize(("name", "scripts"), [("index.html", 2), ("docs.html", 2)])
def test_the_page_has_no_inline_script_or_style(name: str, scripts: int) -> None:
    page = FILES[name]
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""] * scripts
