"""The units in deploy/systemd, and the copies that their timer keeps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
