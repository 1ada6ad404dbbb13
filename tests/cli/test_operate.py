"""`doctor` and `backup`."""

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.conftest import Done, Place, Served

KEY = "operators-own-key"


@contextmanager
def upstream(status: int, date: str | None = None) -> Iterator[str]:
    """A provider that answers every call alike; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", date or self.date_time_string())
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/video/"
        server.shutdown()
        thread.join()


def states(done: Done) -> dict[str, str]:
    """The worst state of each check, from the plain lines."""
    found: dict[str, str] = {}
    for line in done.out.splitlines():
        state, check, *_ = line.split("\t")
        if found.get(check) != "failed":
            found[check] = state
    return found


def examined(served: Served, base_url: str, **settings: str) -> Done:
    own = {
        "PROVIDER": "samsar",
        "SAMSAR_BASE_URL": base_url,
        "SAMSAR_API_KEY": KEY,
        "PUBLIC_URL": served.url,
    }
    return served.place.with_settings(**own | settings).run("doctor")


def test_all_is_well_beside_a_running_service(served: Served) -> None:
    with upstream(404) as base_url:
        done = examined(served, base_url)
    assert done.status == 0, done.out
    assert set(states(done).values()) == {"ok"}
    assert set(states(done)) == {
        "settings",
        "store",
        "durability",
        "disk",
        "provider",
        "public address",
        "clock",
    }
    assert KEY not in done.out + done.err


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_the_provider_refuses_fails(served: Served, status: int) -> None:
    with upstream(status) as base_url:
        done = examined(served, base_url)
    assert done.status == 1
    assert states(done)["provider"] == "failed"
    assert "RECEIVER_SAMSAR_API_KEY" in done.out


def test_an_address_keeps_its_case_at_the_start_of_a_sentence(place: Place) -> None:
    with upstream(200) as base_url:
        url = base_url.removesuffix("/v1/video/")
        done = place.with_settings(URL=url, API_KEY="rk_x").run("jobs", "list")
    assert done.status == 1
    assert done.err.startswith(f"{url}/v1/jobs does not answer")


def test_a_provider_that_cannot_be_reached_fails(served: Served) -> None:
    with upstream(404) as base_url:
        pass
    assert states(examined(served, base_url))["provider"] == "failed"


def test_an_unreachable_public_address_fails_with_a_real_provider_alone(served: Served) -> None:
    with upstream(404) as base_url:
        with upstream(404) as nobody:
            pass
        address = nobody.removesuffix("/v1/video/")
        done = examined(served, base_url, PUBLIC_URL=address)
        assert done.status == 1
        assert states(done)["public address"] == "failed"
        another = examined(served, base_url, PUBLIC_URL=base_url.removesuffix("/v1/video/"))
        assert states(another)["public address"] == "failed"
    sandbox = examined(served, base_url, PROVIDER="sandbox", PUBLIC_URL=address)
    assert sandbox.status == 0
    assert states(sandbox)["public address"] == "remark"


def test_a_clock_far_from_the_provider_s_fails(served: Served) -> None:
    with upstream(404, "Thu, 01 Jan 2026 00:00:00 GMT") as base_url:
        done = examined(served, base_url)
    assert done.status == 1
    assert states(done)["clock"] == "failed"


def test_faults_of_the_settings_are_found_and_end_it_with_2(place: Place) -> None:
    done = place.with_settings(PROVIDER="samsar", POLL_MIN="0").run("doctor")
    assert done.status == 2
    assert states(done) == {"settings": "failed"}
    assert len(done.err.splitlines()) == len(done.out.splitlines()) == 2


def test_it_makes_nothing_where_nothing_is(place: Place) -> None:
    told = place.run("doctor", "--json").json()
    assert told["ok"]
    assert {each["check"]: each["state"] for each in told["checks"]}["store"] == "remark"
    assert list(place.folder.iterdir()) == []


def test_a_database_that_is_none_fails(place: Place) -> None:
    (place.folder / "some.db").write_bytes(b"no database" * 100)
    done = place.with_settings(DATABASE_URL="sqlite:///some.db").run("doctor")
    assert done.status == 1
    assert states(done)["store"] == "failed"


def test_a_backup_is_whole_private_and_never_overwrites(served: Served) -> None:
    key = served.new_key("saved")
    target = served.place.folder / "copy.db"
    done = served.place.run("backup", "copy.db")
    assert done.status == 0, done.err
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with closing(sqlite3.connect(target)) as copy:
        found = copy.execute("SELECT prefix FROM api_keys").fetchall()
    assert (key[:11],) in found
    before = target.read_bytes()
    again = served.place.run("backup", "copy.db")
    assert again.status == 1
    assert "copy.db" in again.err
    assert target.read_bytes() == before


def test_a_backup_serves(served: Served) -> None:
    key = served.new_key("restored")
    served.place.run("backup", "restored.db")
    copy = served.place.with_settings(DATABASE_URL="sqlite:///restored.db", API_KEY=key)
    with copy.serving() as restored:
        assert restored.place.run("jobs", "list").status == 0


def test_a_backup_makes_no_folder(served: Served) -> None:
    done = served.place.run("backup", "nowhere/copy.db")
    assert done.status == 1
    assert "There is no folder" in done.err
    assert "/nowhere for the copy" in done.err


def test_where_there_is_no_database_there_is_no_backup(place: Place) -> None:
    done = place.run("backup", "copy.db")
    assert done.status == 1
    assert "no database" in done.err
    assert list(place.folder.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_told_in_words(served: Served) -> None:
    done = served.place.run("backup", "nowhere/copy.db")
    assert done.status == 1
    assert done.err
