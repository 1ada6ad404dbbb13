"""`demo`."""

import asyncio
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest

from receiver.cli.demo import follow_jobs, listening
from receiver.client import AsyncClient, Job
from receiver.settings import ServeSettings
from tests.cli.conftest import TIMEOUT, Workspace
from tests.support.ports import free_port
from tests.support.service import JOB, running_service


@pytest.fixture(scope="module", autouse=True)
def ending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Popen[str]]]:
    """A demo that ends by itself, and its folder. It runs while the other tests do."""
    workspace = Workspace(tmp_path_factory.mktemp("ending"))
    with workspace.running("demo", "--exit", "--port", "0") as demo:
        yield workspace.folder, demo


def test_it_uses_another_port_if_the_default_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = ServeSettings(provider="sandbox").model_copy(update={"port": port})
        settings.model_fields_set.discard("port")  # as if it were the default
        with listening(settings) as listener:
            other = listener.getsockname()[1]
    assert capsys.readouterr().out == f"Port {port} is in use; using port {other} instead.\n"


def test_it_has_a_dashboard_and_leaves_nothing_behind(workspace: Workspace) -> None:
    # It uses a database, an archive and an address of its own.
    workspace = workspace.with_settings(
        DATABASE_URL="postgresql://127.0.0.1/kept", ARCHIVE_URL="?", PUBLIC_URL="?"
    )
    with workspace.running("demo", "--port", "0") as demo:
        assert demo.stdout is not None
        printed = [demo.stdout.readline() for _ in range(4)]
        assert any("until Ctrl-C" in line for line in demo.stdout)
        check_what_is_printed(*printed)
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=TIMEOUT)
    assert (demo.returncode, err) == (0, "")
    assert list(workspace.folder.iterdir()) == []


def check_what_is_printed(address: str, user: str, operator: str, dashboard: str) -> None:
    """The address, the keys and the sign-in link work, and the jobs have ended."""
    url, key, admin = address.split()[2], user.split()[-1], operator.split()[-1]

    def get(path: str, key: str) -> httpx.Response:
        return httpx.get(f"{url}{path}", headers={"API-KEY": key})

    jobs = get("/v1/jobs", key).json()["jobs"]
    assert [job["status"] for job in jobs] == ["COMPLETED"] * 6
    assert get("/v1/users", admin).status_code == 200
    page, _, token = dashboard.split()[1].partition("#/sign-in/")
    assert page == f"{url}/"
    own_page = {"X-Requested-With": "test"}
    signed_in = [
        httpx.post(f"{url}/session", json={"token": token}, headers=own_page) for _ in range(2)
    ]
    assert [answer.status_code for answer in signed_in] == [200, 401]
    session = signed_in[0].json()
    assert (session["user"], session["admin"]) == ("demo", True)
    attempts = [
        [attempt["status_code"] for attempt in delivery["attempts"]]
        for delivery in get("/v1/deliveries", key).json()["deliveries"]
    ]
    assert sorted(attempts) == [[204]] * 11 + [[500, 204]]


async def test_jobs_that_end_while_others_are_submitted_are_shown_too(tmp_path: Path) -> None:
    class Slow(AsyncClient):
        async def submit(self, body: Mapping[str, Any], **_: object) -> Job:
            return await super().submit(body, wait=60)

    async with (
        running_service(tmp_path) as service,
        Slow(service.url, await service.key()) as client,
        asyncio.timeout(TIMEOUT),
    ):
        assert len(await follow_jobs(client, [JOB] * 2)) == 2


def test_a_configured_port_in_use_is_an_error(workspace: Workspace) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as another,
    ):
        port, other = taken.getsockname()[1], another.getsockname()[1]
        (workspace.folder / ".env").write_text(f"RECEIVER_PORT={port}\nRECEIVER_POOL_RATE=3\n")
        by_setting = workspace.run("demo", "--exit")
        by_option = workspace.run("demo", "--exit", "--port", str(other))
    for done, wanted in ((by_setting, port), (by_option, other)):
        assert done.status == 1
        warning, fault = done.err.splitlines()
        assert warning == "RECEIVER_POOL_RATE is not a setting; did you mean RECEIVER_POLL_RATE?"
        assert f"port {wanted}: it is in use" in fault


def test_it_listens_on_the_configured_address(workspace: Workspace) -> None:
    port = free_port()
    with workspace.with_settings(PORT=str(port)).running("demo") as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline().split()[2] == f"http://127.0.0.1:{port}"
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        demo.send_signal(signal.SIGINT)  # the demo does not wait for its jobs
        _, err = demo.communicate(timeout=TIMEOUT)
    assert (demo.returncode, err) == (130, "")

    elsewhere = workspace.with_settings(HOST="192.0.2.1").run("demo", "--exit")
    assert elsewhere.status == 1
    assert "192.0.2.1 port 8000: the address is not this machine's" in elsewhere.err


def test_with_exit_it_ends_when_all_jobs_are_completed(ending: tuple[Path, Popen[str]]) -> None:
    folder, demo = ending
    out, err = demo.communicate(timeout=TIMEOUT)
    assert (demo.returncode, err) == (0, "")
    ends = [line for line in out.splitlines() if " COMPLETED " in line]
    assert len(ends) == 6
    # On a slow machine a poll can be faster than a callback that was not lost.
    by_poll = [line for line in ends if "via poll (no callback arrived)" in line]
    by_callback = [line for line in ends if " via callback · " in line]
    assert len(by_poll) >= 2
    assert len(by_callback) == 6 - len(by_poll)
    assert f"6 of 6 completed: {len(by_callback)} via callback, {len(by_poll)} via poll" in out
    assert "12 webhooks delivered, all with a valid signature." in out
    retried = re.search(r"refused \(500\) to show a retry, which came (\d+\.\d) s later", out)
    assert retried is not None
    assert float(retried[1]) >= 1
    assert "\x1b" not in out
    assert list(folder.iterdir()) == []
