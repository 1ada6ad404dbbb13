"""`demo`."""

import signal

import httpx

from tests.cli.conftest import TIMEOUT, Workspace


def test_it_ends_by_itself_with_every_job_completed(workspace: Workspace) -> None:
    done = workspace.run("demo", "--exit", "--port", "0")
    assert (done.status, done.err) == (0, "")
    ends = [line for line in done.out.splitlines() if " COMPLETED " in line]
    by_poll = [line for line in ends if "via poll (no callback arrived)" in line]
    assert len(ends) == 6
    assert 2 <= len(by_poll) < 6
    assert f"6 of 6 completed: {6 - len(by_poll)} via callback, {len(by_poll)} via poll" in done.out
    assert "\x1b" not in done.out
    assert list(workspace.folder.iterdir()) == []


def test_it_goes_on_serving_and_leaves_nothing_behind(workspace: Workspace) -> None:
    # It uses a database, an archive and an address of its own.
    workspace = workspace.with_settings(
        DATABASE_URL="postgresql://127.0.0.1/kept", ARCHIVE_URL="?", PUBLIC_URL="?"
    )
    with workspace.running("demo", "--port", "0") as demo:
        assert demo.stdout is not None
        url, key = (demo.stdout.readline().split()[-1] for _ in range(2))
        assert any("until Ctrl-C" in line for line in demo.stdout)
        jobs = httpx.get(f"{url}/v1/jobs", headers={"API-KEY": key}).json()["jobs"]
        assert [job["status"] for job in jobs] == ["COMPLETED"] * 6
        assert httpx.get(url).headers["content-type"].startswith("text/html")
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=TIMEOUT)
    assert (demo.returncode, err) == (0, "")
    assert list(workspace.folder.iterdir()) == []
