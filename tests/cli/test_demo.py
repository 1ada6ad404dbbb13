"""`demo`."""

import re
import signal
import subprocess
import sys
from time import time

import httpx
import pytest

from receiver.cli.webhook_endpoint import webhook_endpoint
from tests.cli.conftest import COMMAND, TIMEOUT, Workspace
from tests.support.programs import running

SCRIPT = f"#!{sys.executable}\nfrom receiver.__main__ import main\nmain()\n"
"""As pip writes it into an environment's `bin`."""


def test_it_ends_by_itself_with_every_job_completed(workspace: Workspace) -> None:
    done = workspace.run("demo", "--exit", "--port", "0")
    assert (done.status, done.err) == (0, "")
    ends = [line for line in done.out.splitlines() if " COMPLETED " in line]
    by_poll = [line for line in ends if "by poll (no callback arrived)" in line]
    assert len(ends) == 6
    assert 2 <= len(by_poll) < 6
    assert f"6 of 6 completed: {6 - len(by_poll)} by callback, {len(by_poll)} by poll" in done.out
    webhooks = re.findall(
        "^webhook job.completed (.+): signature verified$", done.out, re.MULTILINE
    )
    assert sorted(webhooks) == sorted(line.split()[0] for line in ends)
    assert "\x1b" not in done.out
    assert list(workspace.folder.iterdir()) == []


@pytest.mark.parametrize("start", [COMMAND, ("bin/receiver",)], ids=["module", "script"])
def test_it_goes_on_serving_and_leaves_nothing_behind(
    workspace: Workspace, start: tuple[str, ...]
) -> None:
    # It uses a database, an archive, an address and webhooks of its own.
    workspace = workspace.with_settings(
        DATABASE_URL="postgresql://127.0.0.1/kept",
        ARCHIVE_URL="?",
        PUBLIC_URL="?",
        RELAY_SCHEDULE="3600",
    )
    script = workspace.folder / "bin" / "receiver"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    script.chmod(0o700)
    with running(
        [*start, "demo", "--port", "0"],
        cwd=workspace.folder,
        env=workspace.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as demo:
        assert demo.stdout is not None
        url, key = (demo.stdout.readline().split()[-1] for _ in range(2))
        assert any("until Ctrl-C" in line for line in demo.stdout)
        jobs = httpx.get(f"{url}/v1/jobs", headers={"API-KEY": key}).json()["jobs"]
        assert [job["status"] for job in jobs] == ["COMPLETED"] * 6
        assert httpx.get(url).headers["content-type"].startswith("text/html")

        assert demo.stdout.readline() == "\n"
        [list_jobs, list_deliveries, *_] = iter(demo.stdout.readline, "\n")
        assert pasted(workspace, list_jobs).count("COMPLETED") == 6
        assert pasted(workspace, list_deliveries).count("job.completed") == 6

        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=TIMEOUT)
    assert (demo.returncode, err) == (0, "")
    assert list(workspace.folder.iterdir()) == [script.parent]


@pytest.mark.parametrize("signature", ["", "v1,e30=", "v1,\u00e9", "v1,=="])
async def test_its_endpoint_refuses_what_is_not_signed(
    signature: str, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": f"{time():.0f}"}
    headers["webhook-signature"] = signature
    encoded = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    async with webhook_endpoint("whsec_c2VjcmV0") as endpoint, httpx.AsyncClient() as sender:
        answer = await sender.post(endpoint.url, content=b"{}", headers=encoded)
    assert answer.status_code == 400
    assert endpoint.arrived.empty()
    assert capsys.readouterr().out == ""


def pasted(workspace: Workspace, line: str) -> str:
    """What a line prints in a shell in the same folder, without the demo's settings."""
    environment = Workspace(workspace.folder).environment()
    return subprocess.check_output(
        line, shell=True, cwd=workspace.folder, env=environment, text=True
    )
