"""`serve` and `sandbox`: how they start, how they refuse to, how they end."""

import signal
import socket

import httpx
import pytest

from tests.cli.conftest import MOVIE, PATIENCE, Place


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(place: Place, number: signal.Signals) -> None:
    with place.serving() as service:
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        service.process.send_signal(number)
        assert service.process.wait(timeout=PATIENCE) == 0


def test_the_log_is_json_and_begins_with_what_is_odd(place: Place) -> None:
    with place.with_settings(POOL_RATE="3").serving() as service:
        pass
    warning, *others = service.log_lines()
    serving = next(line for line in others if line["event"] == "serving")
    assert (warning["level"], serving["level"]) == ("warning", "info")
    assert "RECEIVER_POOL_RATE is no setting; did you mean RECEIVER_POLL_RATE?" in warning["event"]
    assert serving["provider"] == "sandbox"
    assert service.log_lines()[-1]["event"] == "stopped"


def test_every_fault_of_the_settings_is_a_line_and_the_status_is_2(place: Place) -> None:
    done = place.with_settings(POLL_MIN="0", PORT="70000", PROVIDER="nobody").run("serve")
    assert done.status == 2
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 3
    assert all(any(name in line for line in lines) for name in ("POLL_MIN", "PORT", "PROVIDER"))


def test_the_env_file_of_the_folder_counts(place: Place) -> None:
    (place.folder / ".env").write_text("RECEIVER_POLL_RATE=never\n")
    done = place.run("serve")
    assert done.status == 2
    assert "RECEIVER_POLL_RATE" in done.err


def test_a_port_in_use_is_told_in_words_and_the_status_is_1(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command in ("serve", "sandbox"):
            done = place.run(command, "--port", str(port))
            assert done.status == 1
            assert f"port {port}: it is in use" in done.err.splitlines()[-1]


def test_an_address_of_another_machine_is_told_in_words(place: Place) -> None:
    done = place.run("serve", "--host", "192.0.2.1", "--port", "0")
    assert done.status == 1
    assert "192.0.2.1" in done.err


def test_a_second_service_on_a_database_is_refused_with_2(place: Place) -> None:
    with place.serving():
        done = place.run("serve", "--port", "0")
        assert done.status == 2
        assert "another service runs on" in done.err.lower()

        (place.folder / "other.db").symlink_to(place.folder / "data" / "receiver.db")
        by_link = place.with_settings(DATABASE_URL="sqlite:///other.db")
        assert by_link.run("serve", "--port", "0").status == 2


@pytest.mark.parametrize("content", [b"this is no database, and never was one" * 50, None])
def test_a_database_that_cannot_be_opened_is_told_in_words_and_the_status_is_1(
    place: Place, content: bytes | None
) -> None:
    path = place.folder / "some.db"
    path.mkdir() if content is None else path.write_bytes(content)
    done = place.with_settings(DATABASE_URL="sqlite:///some.db").run("serve", "--port", "0")
    assert done.status == 1
    assert "RECEIVER_DATABASE_URL" in done.err


def test_a_secrets_file_that_cannot_be_used_is_a_fault_of_the_settings(place: Place) -> None:
    file = place.folder / "data" / "receiver.db.keys"
    file.parent.mkdir()
    for content, told in (("", "is empty"), ("too-short", "fewer than 32 characters")):
        file.write_text(content)
        done = place.run("serve", "--port", "0")
        assert done.status == 2
        [line] = done.err.splitlines()
        assert line.startswith("The secrets file ")
        assert str(file) in line
        assert told in line


def test_no_secret_is_logged_or_printed(place: Place) -> None:
    secrets = {"SECRET_KEYS": "first-secret-" + "x" * 32, "SAMSAR_API_KEY": "operators-own-key"}
    with place.with_settings(**secrets, LOG_LEVEL="debug").serving() as service:
        user = service.as_user("ann")
        created = user.run("submit", "-", given='{"kind": "create_movie", "input": {}}')
        assert created.status == 1
        httpx.get(f"{service.url}/v1/jobs", headers={"API-KEY": "operators-own-key"})
        httpx.get(f"{service.url}/operators-own-key/first-secret-{'x' * 32}")
    log = service.log.read_text("utf-8")
    for secret in (*secrets.values(), user.settings["API_KEY"]):
        assert secret not in log


def test_the_sandbox_alone_speaks_the_provider_s_api(place: Place) -> None:
    with place.with_settings(SAMSAR_API_KEY="only-this", SANDBOX_RENDER="0.1").serving(
        "sandbox"
    ) as sandbox:
        assert sandbox.url.endswith("/v1/video/")
        call = httpx.Client(base_url=sandbox.url)
        with call:
            assert call.get("status", headers={"API-KEY": "another"}).status_code == 401
            made = call.post("create_movie", headers={"API-KEY": "only-this"}, json=MOVIE)
            assert set(made.json()) == {"request_id"}
        sandbox.process.send_signal(signal.SIGINT)
        assert sandbox.process.wait(timeout=PATIENCE) == 0
