"""The units in deploy/systemd, and restoring a backup that their timer makes."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Workspace, submit_movie
from tests.docs.pages import ROOT

UNITS = ROOT / "deploy" / "systemd"
BIN = Path(sys.executable).parent


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    shutil.copy(UNITS / "receiver-backup", tmp_path)
    (tmp_path / "receiver").symlink_to(BIN / "receiver")
    units = []
    for unit in UNITS.glob("receiver*.*"):
        units.append(tmp_path / unit.name)
        units[-1].write_text(unit.read_text().replace("/opt/receiver/bin", str(tmp_path)))
    assert len(units) == 3
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_backup_is_restored_and_pays_nothing_twice(tmp_path: Path) -> None:
    """It follows docs/deploy.md, with one job in progress when the backup is made."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    copies = tmp_path / "copies"
    workspace = Workspace(tmp_path / "there", {"PROVIDER": "sandbox", "SANDBOX_RENDER": "3600"})
    with workspace.serving() as served:
        user = served.as_user("acme")
        job = submit_movie(user)
        while user.run("jobs", "show", job, "--json").json()["provider_request_id"] is None:
            pass
        environment = workspace.environment() | {"PATH": f"{BIN}:{os.environ['PATH']}"}
        subprocess.run(
            [UNITS / "receiver-backup", copies], cwd=workspace.folder, env=environment, check=True
        )
    [copy] = copies.glob("receiver-*.db")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    restored = Workspace(
        tmp_path / "here", {"PROVIDER": "sandbox", "API_KEY": user.settings["API_KEY"]}
    )
    (restored.folder / "data").mkdir()
    shutil.copy(copy, restored.folder / "data" / "receiver.db")
    shutil.copy(copies / "receiver.db.keys", restored.folder / "data")
    with restored.serving() as served:
        [job] = served.workspace.run("jobs", "list", "--json").json()["jobs"]
    assert job["provider_request_id"] is not None
    assert job["phase"] in ("accepted", "rendering")


def test_a_week_of_copies_is_kept_and_all_keys(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    fake = tmp_path / "receiver"
    fake.write_text('#!/bin/sh\n: > "$2"\n')
    fake.chmod(0o755)
    copies = tmp_path / "copies"
    copies.mkdir()
    for hour in range(30):
        (copies / f"receiver-20261101T{hour:02d}0000Z.db").touch()
    keys = tmp_path / "data" / "receiver.db.keys"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def back_up(secret: str) -> None:
        keys.write_text(secret)
        command = [UNITS / "receiver-backup", copies]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)

    back_up("first")
    kept = sorted(file.name for file in copies.glob("receiver-*.db"))
    assert len(kept) == 28
    assert kept[0] == "receiver-20261101T030000Z.db"
    for secret in ("first", "made after a loss"):
        back_up(secret)
    saved = {file.name: file.read_text() for file in copies.glob("*.keys*")}
    assert saved == {"receiver.db.keys": "made after a loss", "receiver.db.keys.~1~": "first"}
