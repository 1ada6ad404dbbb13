"""The service as it was before its newest migration, from the history of this repository."""

import subprocess
from pathlib import Path

from tests.crash.processes import ROOT

MIGRATIONS = "store/postgres/migrations"
PACKAGES = ("receiver", "store")


def older_sources(folder: Path) -> Path | None:
    """Put the newest sources into the folder that know every migration but the newest; None where
    there is no history that has them."""
    known = sorted(file.name for file in (ROOT / MIGRATIONS).iterdir())
    for commit in _git("rev-list", "--date-order", "HEAD").split():
        names = _git("ls-tree", "--name-only", commit, f"{MIGRATIONS}/").split()
        if [Path(name).name for name in names] == known[:-1]:
            archive = folder / "older.tar"
            _git("archive", f"--output={archive}", commit, *PACKAGES)
            subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
            return folder
    return None


def _git(*arguments: str) -> str:
    """What git says; nothing where there is no repository."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
