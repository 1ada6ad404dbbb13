"""`serve` and `sandbox`: starting, failing to start, and stopping."""

import signal
import socket

import httpx
import pytest

from tests.cli.conftest import TIMEOUT, Workspace, submit_movie
from tests.support.service import JOB


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_status_0_and_all_log_lines_are_json(
    workspace: Workspace, number: signal.Signals
) -> None:
    with workspace.with_settings(POOL_RATE="3").serving() as service:
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        service.process.send_signal(number)
        assert service.process.wait(timeout=TIMEOUT) == 0

    warning, *others = service.log_lines()
    serving = next(line for line in others if line["event"] == "serving")
    assert (warning["level"], serving["level"]) == ("warning", "info")
    assert (
        "RECEIVER_POOL_RATE is not a setting; did you mean RECEIVER_POLL_RATE?" in warning["event"]
    )
    assert serving["provider"] == "sandbox"
    assert others[-1]["event"] == "stopped"
    # The embedded sandbox is a second server; neither logs its own start.
    assert not [line for line in others if line.get("logger", "").startswith("uvicorn")]


def test_a_start_reports_missing_keys_and_new_secrets(workspace: Workspace) -> None:
    file = workspace.folder / "data" / "receiver.db.keys"

    def log_of_a_start() -> str:
        with workspace.serving() as service:
            submit_movie(service.as_user("ann"))
        return service.log.read_text("utf-8")

    logs = [log_of_a_start(), log_of_a_start()]
    file.unlink()  # as if the database alone was restored: callbacks will get 401
    logs.append(log_of_a_start())

    no_keys = "no keys yet: `receiver keys create USER` makes one"
    assert [no_keys in log for log in logs] == [True, False, False]
    new_secrets = "the signing secrets are new, but the database has jobs"
    assert [new_secrets in log for log in logs] == [False, False, True]
    assert str(file) in logs[-1]
    assert file.read_text().strip() not in logs[-1]


def test_each_settings_error_is_a_line_and_the_status_is_2(workspace: Workspace) -> None:
    (workspace.folder / ".env").write_text("RECEIVER_POLL_RATE=never\n")
    done = workspace.with_settings(POLL_MIN="0", PORT="70000", PROVIDER="nobody").run("serve")
    assert done.status == 2
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 4
    for name in ("POLL_RATE", "POLL_MIN", "PORT", "PROVIDER"):
        assert any(f"RECEIVER_{name}" in line for line in lines)


def test_an_address_that_cannot_be_listened_on_is_an_error(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command in ("serve", "sandbox"):
            done = workspace.run(command, "--port", str(port))
            assert done.status == 1
            words = done.err.splitlines()[-1]
            assert "Address already in use" in words
            assert f"('127.0.0.1', {port})" in words
    elsewhere = workspace.run("serve", "--host", "192.0.2.1", "--port", "0")
    assert elsewhere.status == 1
    assert "Cannot assign requested address" in elsewhere.err
    assert "192.0.2.1" in elsewhere.err


def test_a_second_service_on_a_database_is_refused(workspace: Workspace) -> None:
    with workspace.serving():
        done = workspace.run("serve", "--port", "0")
        assert done.status == 2
        assert "another service runs on" in done.err.lower()


def test_an_invalid_secrets_file_is_a_settings_error(workspace: Workspace) -> None:
    file = workspace.folder / "data" / "receiver.db.keys"
    file.parent.mkdir()
    for content in ("", "too-short"):
        file.write_text(content)
        done = workspace.run("serve", "--port", "0")
        assert done.status == 2
        [line] = done.err.splitlines()
        assert line.startswith("The secrets file ")
        assert str(file) in line
        assert "one secret of at least 32" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sandbox_serves_the_provider_s_api_until_a_signal(
    workspace: Workspace, number: signal.Signals
) -> None:
    with workspace.with_settings(SAMSAR_API_KEY="only-this", SANDBOX_RENDER="0.1").serving(
        "sandbox"
    ) as sandbox:
        assert sandbox.url.endswith("/v1/video/")
        call = httpx.Client(base_url=sandbox.url)
        with call:
            assert call.get("status", headers={"API-KEY": "another"}).status_code == 401
            made = call.post("create_movie", headers={"API-KEY": "only-this"}, json=JOB)
            assert set(made.json()) == {"request_id"}
        sandbox.process.send_signal(number)
        assert sandbox.process.wait(timeout=TIMEOUT) == 0
    assert {line["level"] for line in sandbox.log_lines()} == {"info"}
